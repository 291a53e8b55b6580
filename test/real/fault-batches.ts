import { MetadataStore } from '../../src/index.ts';
import { WriteBatch } from '../../src/index.ts';

const KEYS = 6;

/** Batch n of `fault-writer.ts`. */
export function faultBatch(number: number, lengthBytes: number): WriteBatch {
  const batch = new WriteBatch();
  for (let i = 0; i < KEYS; i++) {
    const data = new Uint8Array(lengthBytes);
    crypto.getRandomValues(data.subarray(0, Math.min(65_536, lengthBytes)));
    batch.put(number * KEYS + i, number + 1, data);
  }
  return batch;
}

/**
 * Opens the directory of a `fault-writer.ts` and compares it with that program's output: every
 * acknowledged batch whole, no batch that was not applied, unknown batches whole or absent. Then
 * writes one more batch and opens again. Returns what is wrong.
 */
export async function judge(
  directory: string,
  lines: readonly string[],
): Promise<string | undefined> {
  const said = new Map<number, string>();
  for (const line of lines) {
    const [what, number = '', outcome = ''] = line.split(' ');
    if (what === 'ack') said.set(Number(number), 'ack');
    if (what === 'rejected') said.set(Number(number), outcome);
    if (what === 'broken') return line;
  }
  let store: MetadataStore;
  try {
    store = await MetadataStore.open(directory);
  } catch (error) {
    return `it does not open: ${String(error)}`;
  }
  try {
    const problem = compare(store, said);
    if (problem !== undefined) return problem;
    const size = store.size;
    await store.insertBatch([{ type: 'put', key: 2 ** 50, value: 1 }]);
    await store.close();
    store = await MetadataStore.open(directory);
    return store.size >= size && store.has(2 ** 50) ? undefined : 'a later batch is lost';
  } finally {
    await store.close();
  }
}

function compare(store: MetadataStore, said: ReadonlyMap<number, string>): string | undefined {
  const counts = new Map<number, number>();
  for (const [key, { value }] of store.entries()) {
    if (key === 2n ** 50n) continue;
    const number = Math.floor(Number(key) / KEYS);
    if (Number(value) !== number + 1) return `key ${key} has value ${value}`;
    counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  for (const [number, count] of counts) {
    if (count !== KEYS) return `batch ${number} is there in part`;
    if (said.get(number) === 'not-applied') return `batch ${number}, not applied, is there`;
  }
  for (const [number, what] of said) {
    if (what === 'ack' && !counts.has(number)) return `batch ${number}, acknowledged, is lost`;
  }
  return undefined;
}
