import { writeFully, type FileSystem } from 'lodestore/fs';
import { isMissing } from './files.ts';

const ZEROS = Buffer.alloc(128 * 1024);

/**
 * A file of zeros that is removed on a full disk, so that deletes, and the upkeep that gives their
 * space back, can still be recorded. Bodies are refused until it is there again. A delete puts
 * records too, so the metadata store's own reserve, which is for batches of deletes alone, would
 * not do.
 */
export class ReserveFile {
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #path: string;
  readonly lengthBytes: number;
  #state: 'absent' | 'kept' | 'given-up' = 'absent';

  /** `lengthBytes` 0: there is none, and nothing is refused for want of it. */
  constructor(files: FileSystem, directory: string, lengthBytes: number) {
    this.#files = files;
    this.#directory = directory;
    this.#path = `${directory}/reserve`;
    this.lengthBytes = lengthBytes;
  }

  /** Whether bodies may be taken. */
  get isWhole(): boolean {
    return this.#state === 'kept' || this.lengthBytes === 0;
  }

  /** Makes the file where twice its length is free. Keeps that of an earlier run. */
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
      // The disk is fuller than it said: the next look tries again.
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

  /** Gives its space free. False: it was not there. */
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
