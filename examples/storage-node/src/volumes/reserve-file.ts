import { writeFully, type FileSystem } from 'lodestore/fs';
import { isMissing } from './files.ts';

const ZEROS = Buffer.alloc(128 * 1024);

/** The lease of the metadata store is a directory, and needs a block and an inode. */
export const OPENING_BYTES: number = 64 * 1024;

/**
 * A file of zeros that is removed on a full disk, so that deletes, and the upkeep that frees their
 * space, can still be recorded. Bodies are refused until the file exists again. A delete also puts
 * records, so the metadata store's own reserve, which only serves batches of deletes, is not
 * enough.
 *
 * A second, small file is only for the lock of the metadata store at an open: what else an open
 * needs, it can free in the volumes once it can read the metadata.
 */
export class ReserveFile {
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #path: string;
  readonly #openingPath: string;
  #hasOpening = false;
  readonly lengthBytes: number;
  #state: 'absent' | 'kept' | 'given-up' = 'absent';

  /** `lengthBytes` 0: there is no reserve, and its absence refuses nothing. */
  constructor(files: FileSystem, directory: string, lengthBytes: number) {
    this.#files = files;
    this.#directory = directory;
    this.#path = `${directory}/reserve`;
    this.#openingPath = `${directory}/reserve.open`;
    this.lengthBytes = lengthBytes;
  }

  /** True if bodies may be accepted. */
  get isWhole(): boolean {
    return this.#state === 'kept' || this.lengthBytes === 0;
  }

  /** Creates the files if twice their length is free. Keeps the files of an earlier run. */
  async make(freeBytes: number): Promise<void> {
    if (this.isWhole) return;
    if (!this.#hasOpening) {
      this.#hasOpening = await this.#makeFile(this.#openingPath, OPENING_BYTES, freeBytes);
    }
    if (await this.#makeFile(this.#path, this.lengthBytes, freeBytes)) this.#state = 'kept';
  }

  /** True if it is there now. */
  async #makeFile(path: string, lengthBytes: number, freeBytes: number): Promise<boolean> {
    if ((await this.#found(path)) === lengthBytes) return true;
    if (freeBytes < 2 * lengthBytes) return false;
    await this.#remove(path);
    try {
      await this.#write(path, lengthBytes);
      return true;
    } catch {
      // The disk is fuller than it reported: the next check tries again.
      await this.#remove(path);
      return false;
    }
  }

  async #write(path: string, lengthBytes: number): Promise<void> {
    const file = await this.#files.open(path, 'wx');
    try {
      for (let at = 0; at < lengthBytes; at += ZEROS.length) {
        await writeFully(file, ZEROS.subarray(0, lengthBytes - at), at);
      }
      await file.dataSync();
    } finally {
      await file.close();
    }
    await this.#files.syncDirectory(this.#directory);
  }

  /** Frees the file's space. False if it did not exist. */
  async giveUp(): Promise<boolean> {
    if (this.lengthBytes === 0 || (await this.#found(this.#path)) === undefined) return false;
    this.#state = 'given-up';
    await this.#remove(this.#path);
    return true;
  }

  /** Frees the space of the file, or of the small one if it did not exist. False: neither did. */
  async giveUpToOpen(): Promise<boolean> {
    if (await this.giveUp()) return true;
    if ((await this.#found(this.#openingPath)) === undefined) return false;
    await this.#remove(this.#openingPath);
    return true;
  }

  async #found(path: string): Promise<number | undefined> {
    try {
      return (await this.#files.stat(path)).sizeBytes;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async #remove(path: string): Promise<void> {
    try {
      await this.#files.unlink(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
}
