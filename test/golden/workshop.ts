import { createHash } from 'node:crypto';
import type { StoreDurability } from '../../src/store/batch/durability.ts';
import type { MetadataStore } from '../../src/store/metadata-store.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { dumpOf, type DumpRecord } from '../support/dump.ts';

export const STORE: string = '/s';

export type Files = Map<string, Uint8Array>;
export type Put = readonly [key: bigint | number, value: bigint | number, data?: Uint8Array];

/** A store in memory and its expected contents. */
export class Workshop {
  fs: CrashFs;
  model: Map<bigint, DumpRecord> = new Map();
  #store: MetadataStore | undefined;

  constructor(fs: CrashFs = new CrashFs({ trace: false })) {
    this.fs = fs;
  }

  async open(rotateBytes = 64 * 1024 * 1024, durability: StoreDurability = 'sync'): Promise<void> {
    this.#store = await openOn(this.fs, STORE, { rotateBytes, mergeBytes: 2 ** 40, durability });
  }

  get store(): MetadataStore {
    if (this.#store === undefined) throw new Error('the store is open');
    return this.#store;
  }

  /** Inserts one batch. */
  batch(puts: readonly Put[], deletes: readonly (bigint | number)[] = []): Promise<unknown> {
    for (const [key, value, data = new Uint8Array(0)] of puts) {
      this.model.set(BigInt(key), { key: BigInt(key), value: BigInt(value), data });
    }
    for (const key of deletes) this.model.delete(BigInt(key));
    return this.store.insertBatch([
      ...puts.map(([key, value, data]) => ({
        type: 'put' as const,
        key,
        value,
        ...(data && { data }),
      })),
      ...deletes.map((key) => ({ type: 'del' as const, key })),
    ]);
  }

  files(): Files {
    const files: Files = new Map();
    for (const [path, bytes] of this.fs.files()) {
      const name = path.slice(STORE.length + 1);
      if (!name.startsWith('lodestore.')) files.set(name, bytes);
    }
    return files;
  }

  dump(): string {
    return dumpOf([...this.model.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
  }
}

/** Bytes that zstd cannot compress, equal at every run. */
export function noise(lengthBytes: number, seed: string): Uint8Array {
  const blocks: Buffer[] = [];
  for (let i = 0; blocks.length * 32 < lengthBytes; i++) {
    blocks.push(createHash('sha256').update(`${seed} ${i}`).digest());
  }
  return new Uint8Array(Buffer.concat(blocks).subarray(0, lengthBytes));
}

export function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

/** Keeps 512 bytes of the reserved zeros, as in a log that was truncated. */
export function trimmed(files: Files): Files {
  const small: Files = new Map();
  for (const [name, bytes] of files) {
    let end = bytes.length;
    if (name.startsWith('log_')) while (end > 0 && bytes[end - 1] === 0) end--;
    small.set(
      name,
      name.startsWith('log_') ? bytes.slice(0, Math.min(end + 512, bytes.length)) : bytes,
    );
  }
  return small;
}
