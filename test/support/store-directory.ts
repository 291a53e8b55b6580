import { open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MetadataStore } from '../../src/index.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** Batch `i` sets keys 10 i to 10 i + 9 to value i + 1, with 100 incompressible bytes. */
export async function insertBatches(store: MetadataStore, from: number, to: number): Promise<void> {
  for (let batch = from; batch < to; batch++) {
    const updates = Array.from({ length: 10 }, (_, i) => {
      const key = 10 * batch + i;
      const data = new Uint8Array(100).map((__, at) => (key * 7919 + at * 104_729) >>> (at % 7));
      return { type: 'put' as const, key, value: batch + 1, data };
    });
    await store.insertBatch(updates);
  }
}

export const SMALL_LOGS = { rotateBytes: 64 * 1024, mergeBytes: 1 << 30 };

/** The files of `closedStore`, made once by each process. */
let closed: ReadonlyMap<string, Uint8Array> | undefined;

/** A closed store: a snapshot of 20 batches, then logs with 280 more, of 10 records each. */
export async function closedStore(): Promise<string> {
  const directory = await temporaryDirectory();
  if (closed !== undefined) {
    for (const [name, bytes] of closed) await writeFile(join(directory, name), bytes);
    return directory;
  }
  const store = await MetadataStore.open(directory, SMALL_LOGS);
  await insertBatches(store, 0, 20);
  await store.merge();
  await insertBatches(store, 20, 300);
  await store.close();
  const files = new Map<string, Uint8Array>();
  for (const name of await readdir(directory))
    files.set(name, await readFile(join(directory, name)));
  closed = files;
  return directory;
}

/** Flips all bits of one byte. */
export async function flipByte(directory: string, name: string, offset: number): Promise<void> {
  const path = join(directory, name);
  const byte = (await readFile(path)).readUInt8(offset);
  const file = await open(path, 'r+');
  await file.write(Uint8Array.of(byte ^ 0xff), 0, 1, offset);
  await file.close();
}

/** Truncates a file as a crash would: nothing says that more of it was synced. */
export async function tear(directory: string, name: string, lengthBytes: number): Promise<void> {
  await truncate(join(directory, name), lengthBytes);
  await rm(join(directory, 'lodestore.lock'), { force: true });
}

/** Names with this prefix, in ascending order. */
export async function namesIn(directory: string, prefix: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.startsWith(prefix)).sort();
}
