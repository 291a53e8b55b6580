import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstat,
  fsync,
  ftruncate,
  ftruncateSync,
  read,
  readSync,
  write,
  writeSync,
  writev,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { assert } from '../base/assert.ts';
import { requireNative } from '../base/native-package.ts';
import { closeDescriptor } from './descriptor.ts';
import { RecentStat } from './recent-stat.ts';
import type { BlockingFile, FileStat, OpenFile, OpenFileStat } from './file-system.ts';
import { writeZeros } from './write.ts';

/** Node takes lengths as 32-bit signed integers. Longer reads and writes are done in part. */
const MAX_TRANSFER_BYTES = 0x4000_0000;

/**
 * How writes become durable: `none`: not; `by-system`: O_DSYNC; `by-us`: a sync after each write.
 */
export type WriteSync = 'none' | 'by-system' | 'by-us';

/**
 * A file by its raw descriptor. One promise around a `node:fs` callback costs less than a
 * `FileHandle`, and no finalizer closes the descriptor while the owner uses it.
 *
 * `close` waits for operations in flight: the system may give a closed number to another file while
 * a write still uses it.
 */
export class NodeOpenFile implements OpenFile {
  readonly #descriptor: number;
  readonly #syncAfterWrite: boolean;
  readonly #recentStat: RecentStat;
  #state: 'open' | 'closing' = 'open';
  #inFlight = 0;
  #onIdle: (() => void) | undefined = undefined;

  /** Takes ownership of `descriptor`, which was opened by `path`: nobody else may close it. */
  constructor(descriptor: number, path: string, durability: WriteSync) {
    this.#descriptor = descriptor;
    this.#recentStat = new RecentStat(path);
    this.#syncAfterWrite = durability === 'by-us';
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#run<number>((done) => {
      const lengthBytes = Math.min(target.byteLength, MAX_TRANSFER_BYTES);
      read(this.#descriptor, target, 0, lengthBytes, position, done);
    });
  }

  readSync(target: Uint8Array, position: number): number {
    assert(this.#state === 'open', 'a closed file is not used');
    const lengthBytes = Math.min(target.byteLength, MAX_TRANSFER_BYTES);
    return readSync(this.#descriptor, target, 0, lengthBytes, position);
  }

  write(source: Uint8Array, position: number): Promise<number> {
    return this.#run<number>((done) => {
      const lengthBytes = Math.min(source.byteLength, MAX_TRANSFER_BYTES);
      const written = this.#syncAfterWrite ? this.#syncBefore(done) : done;
      write(this.#descriptor, source, 0, lengthBytes, position, written);
    });
  }

  writev(sources: readonly Uint8Array[], position: number): Promise<number> {
    if (sources.length === 0) return Promise.resolve(0);
    return this.#run<number>((done) => {
      const written = this.#syncAfterWrite ? this.#syncBefore(done) : done;
      writev(this.#descriptor, sources, position, written);
    });
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#run<void>((done) =>
      ftruncate(this.#descriptor, sizeBytes, (error) => done(error)),
    );
  }

  async preallocate(sizeBytes: number): Promise<void> {
    requireOffset('sizeBytes', sizeBytes);
    const { sizeBytes: start } = await this.stat();
    if (sizeBytes <= start) return;
    try {
      await writeZeros(this, start, sizeBytes);
    } catch (error) {
      // Frees the reserved space. If that fails too, the first error is reported.
      await this.truncate(start).catch(() => undefined);
      throw error;
    }
  }

  async trim(position: number, lengthBytes: number): Promise<void> {
    requireOffset('position', position);
    requireOffset('lengthBytes', lengthBytes);
    if (lengthBytes === 0) return;
    const { sparse, trim } = requireNative('fs-native-extensions') as NativeTrim;
    await this.#run<void>((done) => {
      const work = async (): Promise<void> => {
        await sparse(this.#descriptor);
        await trim(this.#descriptor, position, lengthBytes);
      };
      work().then(() => done(null), done);
    });
  }

  dataSync(): Promise<void> {
    return this.#run<void>((done) => fdatasync(this.#descriptor, (error) => done(error)));
  }

  sync(): Promise<void> {
    return this.#run<void>((done) => fsync(this.#descriptor, (error) => done(error)));
  }

  async stat(): Promise<FileStat> {
    return toFileStat(await this.#run<Stats>((done) => fstat(this.#descriptor, done)));
  }

  statSync(maxAgeMs = 0): OpenFileStat {
    assert(this.#state === 'open', 'a closed file is not used');
    return this.#recentStat.get(this.#descriptor, maxAgeMs);
  }

  async close(): Promise<void> {
    assert(this.#state === 'open', 'a file is closed once');
    this.#state = 'closing';
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await closeDescriptor(this.#descriptor);
  }

  #run<T>(start: (done: Callback<T>) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      assert(this.#state === 'open', 'a closed file is not used');
      start((error, result) => {
        this.#end();
        if (error) reject(error);
        else resolve(result);
      });
      // Counted after the start: a call that throws never calls back.
      this.#inFlight++;
    });
  }

  #end(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) this.#onIdle?.();
  }

  #syncBefore(done: Callback<number>): Callback<number> {
    return (error, written) => {
      if (error) done(error, written);
      else fdatasync(this.#descriptor, (syncError) => done(syncError, written));
    };
  }
}

/** A file by its raw descriptor, with blocking calls. */
export class NodeBlockingFile implements BlockingFile {
  readonly #descriptor: number;
  readonly #syncAfterWrite: boolean;
  readonly #recentStat: RecentStat;
  #state: 'open' | 'closed' = 'open';

  /** Takes ownership of `descriptor`, which was opened by `path`: nobody else may close it. */
  constructor(descriptor: number, path: string, durability: WriteSync) {
    this.#descriptor = descriptor;
    this.#recentStat = new RecentStat(path);
    this.#syncAfterWrite = durability === 'by-us';
  }

  read(target: Uint8Array, position: number): number {
    const lengthBytes = Math.min(target.byteLength, MAX_TRANSFER_BYTES);
    return readSync(this.#opened, target, 0, lengthBytes, position);
  }

  write(source: Uint8Array, position: number): number {
    const lengthBytes = Math.min(source.byteLength, MAX_TRANSFER_BYTES);
    const written = writeSync(this.#opened, source, 0, lengthBytes, position);
    if (this.#syncAfterWrite) fdatasyncSync(this.#descriptor);
    return written;
  }

  truncate(sizeBytes: number): void {
    ftruncateSync(this.#opened, sizeBytes);
  }

  dataSync(): void {
    fdatasyncSync(this.#opened);
  }

  statSync(maxAgeMs = 0): OpenFileStat {
    return this.#recentStat.get(this.#opened, maxAgeMs);
  }

  close(): void {
    const descriptor = this.#opened;
    this.#state = 'closed';
    closeSync(descriptor);
  }

  get #opened(): number {
    assert(this.#state === 'open', 'a closed file is not used');
    return this.#descriptor;
  }
}

/** `sparse` is for Windows, where a file must be marked before it can have holes. */
type NativeTrim = Pick<typeof import('fs-native-extensions'), 'sparse' | 'trim'>;

/** Rejects as the system does; the native package would take the value modulo 2^64. */
function requireOffset(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  const message = `EINVAL: ${name} must be an integer from 0 to 2^53 - 1`;
  throw Object.assign(new RangeError(message), { code: 'EINVAL' });
}

type Callback<T> = (error: NodeJS.ErrnoException | null, result: T) => void;

export function toFileStat(stats: Stats): FileStat {
  return { kind: kindOf(stats), sizeBytes: stats.size };
}

/** The kind of a directory entry or of a stat. A link that is not followed is `other`. */
export function kindOf(entry: { isFile(): boolean; isDirectory(): boolean }): FileStat['kind'] {
  if (entry.isFile()) return 'file';
  return entry.isDirectory() ? 'directory' : 'other';
}
