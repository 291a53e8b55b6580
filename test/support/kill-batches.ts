export const KEYS_PER_BATCH = 8;
export const DELETED_BEHIND = 2000;

interface Records {
  entries(): Iterable<[bigint, { readonly value: bigint; readonly data: Uint8Array }]>;
}

export interface FoundBatches {
  /** -1 if there is none. */
  readonly highest: number;
  /** A difference from every prefix of the batches. */
  readonly problem: string | undefined;
}

/** Checks that a store has a prefix of the batches of `kill-writer.ts`, each whole. */
export function batchesIn(store: Records): FoundBatches {
  const counts = new Map<number, number>();
  let highest = -1;
  let problem: string | undefined;
  for (const [key, { value, data }] of store.entries()) {
    const number = Math.floor(Number(key) / KEYS_PER_BATCH);
    const lengthBytes = (number * 31 + (Number(key) % KEYS_PER_BATCH) * 7) % 200;
    if (Number(value) !== number + 1 || data.length !== lengthBytes) {
      problem ??= `key ${key} has value ${value} and ${data.length} bytes`;
    }
    counts.set(number, (counts.get(number) ?? 0) + 1);
    highest = Math.max(highest, number);
  }
  const lowest = Math.max(0, highest - DELETED_BEHIND + 1);
  for (let number = lowest; number <= highest; number++) {
    const count = counts.get(number) ?? 0;
    if (count !== KEYS_PER_BATCH) problem ??= `batch ${number} of ${highest} has ${count} keys`;
  }
  const expected = highest < 0 ? 0 : highest - lowest + 1;
  if (counts.size !== expected) problem ??= `${counts.size} batches where ${expected} should be`;
  return { highest, problem };
}
