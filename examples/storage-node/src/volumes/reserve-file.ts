import { writeFully, type FileSystem } from 'lodestore/fs';
import { isMissing } from './files.ts';

const ZEROS = Buffer.alloc(128 * 1024);

/**
 * A file of zeros that is removed on a full disk, so that deletes, and the upkeep that frees their
 * space, can still be recorded. Bodies are refused until the file exists again. A delete also puts
 * records, so the metadata store's own reserve, which only serves batches of deletes, is not
 * enough.
 */
export class ReserveFile {
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #path: string;
  readonly lengthBytes: number;
  #state: 'absent' | 'kept' | 'given-up' = 'absent';

  /** `lengthBytes` 0: there is no reserve, and its absence refuses nothing. */
  constructor(files: FileSystem, directory: string, lengthBytes: number) {
    this.#files = files;
    this.#directory = directory;
    this.#path = `${directory}/reserve`;
    this.lengthBytes = lengthBytes;
  }

  /** True if bodies may be accepted. */
  get isWhole(): boolean {
    return this.#state === 'kept' || this.lengthBytes === 0;
  }

  /** Creates the file if twice its length is free. Keeps the file of an earlier run. */
  async make(freeBytes: number): Promise<void> {
    if (this.isWhole) return;
    if ((await this.#found()) === this.lengthBytes) {
      this.#state = 'kept';
      return;
    }
    if (freeBytes < 2 * this.lengthBytes) return;
    await this.#remove();
    try {
      await this.#write();
      this.#state = 'kept';
    } catch {
      // The disk is fuller than it reported: the next check tries again.
      await this.#remove();
    }
  }

  async #write(): Promise<void> {
    const file = await this.#files.open(this.#path, 'wx');
    try {
      for (let at = 0; at < this.lengthBytes; at += ZEROS.length) {
        await writeFully(file, ZEROS.subarray(0, this.lengthBytes - at), at);
      }
      await file.dataSync();
    } finally {
      await file.close();
    }
    await this.#files.syncDirectory(this.#directory);
  }

  /** Frees the file's space. False if it did not exist. */
  async giveUp(): Promise<boolean> {
    if (this.lengthBytes === 0 || (await this.#found()) === undefined) return false;
    this.#state = 'given-up';
    await this.#remove();
    return true;
  }

  async #found(): Promise<number | undefined> {
    try {
      return (await this.#files.stat(this.#path)).sizeBytes;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async #remove(): Promise<void> {
    try {
      await this.#files.unlink(this.#path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
}
