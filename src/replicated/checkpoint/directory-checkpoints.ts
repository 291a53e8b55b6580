import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { StoreClosedError, systemCode } from '../../base/errors.ts';
import { requireKnownFields } from '../../base/fields.ts';
import { monotonicMs } from '../../base/timers.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import { ensureDirectory, syncAncestors } from '../../directory/ensure-directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { writeFully } from '../../fs/write.ts';
import {
  CheckpointStoreError,
  type CheckpointCallOptions,
  type CheckpointObject,
  type CheckpointSource,
  type CheckpointStore,
} from './checkpoint-store.ts';
import { checkedSource, checkObjectName } from './object-name.ts';

const READ_BYTES: number = 1024 * 1024;

/** The file name prefix of incomplete objects. */
const INCOMPLETE = '.put-';

/** An incomplete file that has not grown for this long is left over from a crash. */
const LEFT_OVER_MS: number = 60 * 60 * 1000;

/** Options of `DirectoryCheckpoints.open`. */
export interface DirectoryCheckpointsOptions {
  /** The file system of the directory. Default: this machine's. */
  readonly fileSystem?: FileSystem | undefined;
}

/**
 * A checkpoint store in a directory, on this machine or on a file system that all nodes mount. All
 * objects are files in this directory; slashes in names become `+`. An object is written to a
 * temporary file, synced and renamed; then the directory is synced.
 */
export class DirectoryCheckpoints implements CheckpointStore {
  readonly directory: string;
  readonly #fs: FileSystem;
  #isClosed = false;
  /** Incomplete files that a list has found: their size, and when that size was first seen. */
  readonly #incomplete: Map<string, { readonly sizeBytes: number; readonly sinceMs: number }> =
    new Map();

  private constructor(fs: FileSystem, directory: string) {
    this.#fs = fs;
    this.directory = directory;
  }

  /**
   * Opens the store in `directory`, which is created if it does not exist. Its name and those of
   * its parents are durable then.
   * @throws StoreError if it cannot be created, or its name not synced
   */
  static async open(
    directory: string,
    options: DirectoryCheckpointsOptions = {},
  ): Promise<DirectoryCheckpoints> {
    if (typeof directory !== 'string') throw new TypeError('directory must be a string');
    requireKnownFields(options, { fileSystem: true }, 'options');
    const fs = options.fileSystem ?? nodeFileSystem;
    await ensureDirectory(fs, directory, true);
    try {
      await syncAncestors(fs, directory);
    } catch (error) {
      const what = 'the name of the checkpoint directory cannot be made durable';
      throw storeErrorOf(error, { what, path: directory });
    }
    return new DirectoryCheckpoints(fs, directory);
  }

  async put(
    name: string,
    source: CheckpointSource,
    { signal }: CheckpointCallOptions = {},
  ): Promise<void> {
    const path = this.#pathOf(name);
    const incomplete = join(this.directory, INCOMPLETE + randomBytes(12).toString('hex'));
    try {
      await this.#writeDurably(incomplete, checkedSource(name, source, signal));
      signal?.throwIfAborted();
      await this.#fs.rename(incomplete, path);
    } catch (error) {
      await this.#fs.unlink(incomplete).catch(() => undefined);
      throw unavailable(error, `${name} was not stored`);
    }
    await this.#syncNames(`${name} may not be stored`);
  }

  async *get(
    name: string,
    { signal }: CheckpointCallOptions = {},
  ): AsyncGenerator<Uint8Array, undefined> {
    const path = this.#pathOf(name);
    signal?.throwIfAborted();
    try {
      const file = await this.#fs.open(path, 'r');
      try {
        for (let position = 0; ;) {
          const piece = new Uint8Array(READ_BYTES);
          const count = await file.read(piece, position);
          signal?.throwIfAborted();
          if (count === 0) return;
          position += count;
          yield piece.subarray(0, count);
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        throw new CheckpointStoreError('not-found', `there is no ${name}`, { cause: error, path });
      }
      throw unavailable(error, `${name} cannot be read`);
    }
  }

  async *list(
    prefix: string,
    { signal }: CheckpointCallOptions = {},
  ): AsyncGenerator<CheckpointObject, undefined> {
    this.#checkOpen();
    signal?.throwIfAborted();
    const entries = await this.#fs.readDirectory(this.directory).catch((error: unknown) => {
      throw unavailable(error, `${this.directory} cannot be read`);
    });
    for (const { name: fileName, kind } of entries) {
      if (kind !== 'file') continue;
      const isIncomplete = fileName.startsWith(INCOMPLETE);
      const name = fileName.replaceAll('+', '/');
      if (!isIncomplete && (fileName.startsWith('.') || !name.startsWith(prefix))) continue;
      const sizeBytes = await this.#sizeOf(fileName);
      signal?.throwIfAborted();
      // The file was removed meanwhile.
      if (sizeBytes === undefined) continue;
      if (isIncomplete) await this.#removeLeftOver(fileName, sizeBytes);
      else yield { name, sizeBytes };
    }
  }

  async delete(name: string, { signal }: CheckpointCallOptions = {}): Promise<void> {
    const path = this.#pathOf(name);
    signal?.throwIfAborted();
    try {
      await this.#fs.unlink(path);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return;
      throw unavailable(error, `${name} was not removed`);
    }
    await this.#syncNames(`${name} may not be removed`);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  async #writeDurably(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await this.#fs.open(path, 'wx');
    try {
      let position = 0;
      for await (const piece of content) {
        await writeFully(file, piece, position);
        position += piece.length;
      }
      await file.dataSync();
    } finally {
      await file.close();
    }
  }

  async #syncNames(what: string): Promise<void> {
    try {
      await this.#fs.syncDirectory(this.directory);
    } catch (error) {
      throw unavailable(error, what);
    }
  }

  async #sizeOf(fileName: string): Promise<number | undefined> {
    try {
      return (await this.#fs.stat(join(this.directory, fileName))).sizeBytes;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw unavailable(error, `${this.directory} cannot be read`);
    }
  }

  /** The owner of the file is unknown; a file in use grows. */
  async #removeLeftOver(fileName: string, sizeBytes: number): Promise<void> {
    const seen = this.#incomplete.get(fileName);
    const now = monotonicMs();
    if (seen?.sizeBytes !== sizeBytes) {
      this.#incomplete.set(fileName, { sizeBytes, sinceMs: now });
    } else if (now - seen.sinceMs >= LEFT_OVER_MS) {
      this.#incomplete.delete(fileName);
      await this.#fs.unlink(join(this.directory, fileName)).catch(() => undefined);
    }
  }

  #pathOf(name: string): string {
    this.#checkOpen();
    return join(this.directory, checkObjectName(name).replaceAll('/', '+'));
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreClosedError('the checkpoint store is closed');
  }
}

/** Turns system errors into errors of the store. Errors of the source and of the signal pass. */
function unavailable(error: unknown, what: string): unknown {
  if (systemCode(error) === undefined || error instanceof CheckpointStoreError) return error;
  const text = `${what}: ${(error as Error).message}`;
  return new CheckpointStoreError('unavailable', text, { cause: error });
}
