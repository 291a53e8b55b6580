import { join } from 'node:path';
import { isLackOfSpace } from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import { giveUpOneReserve } from '../../directory/reserve-names.ts';
import { RESERVE_NAME, SPARE_NAMES } from '../../format/file-name.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { writeZeros } from '../../fs/write.ts';

/**
 * `absent`: there was no space for the file yet. `kept`: the file and the empty files beside it
 * exist. `given-up`: the disk was full, and the space was released for operations that free more.
 */
export type ReserveState = 'absent' | 'kept' | 'given-up';

/**
 * A file of zeros, and empty files beside it, whose only purpose is to be removed when the disk is
 * full. That makes space for deletes and for the merge that frees more. The zeros provide bytes;
 * each file provides an inode: for a log, for its successor and for a merge's snapshot. Recovery
 * reads nothing from them, so their failures do not matter.
 */
export class ReserveFile {
  readonly sizeBytes: number;
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #path: string;
  readonly #lock: DirectoryLock;
  #state: ReserveState = 'absent';
  #heldBytes = 0;
  #making: Promise<void> | undefined;

  constructor(fs: FileSystem, directory: string, sizeBytes: number, lock: DirectoryLock) {
    this.sizeBytes = sizeBytes;
    this.#fs = fs;
    this.#directory = directory;
    this.#path = join(directory, RESERVE_NAME);
    this.#lock = lock;
  }

  get state(): ReserveState {
    return this.#state;
  }

  /**
   * Creates the file unless it exists. Resolves with whether it is kept; never rejects. Requires
   * twice its size of free space, so that creating it does not fill the disk.
   */
  async make(): Promise<boolean> {
    if (this.#state === 'kept') return true;
    this.#making ??= this.#make().then((isKept) => {
      if (isKept) this.#state = 'kept';
      this.#making = undefined;
    });
    await this.#making;
    return this.state === 'kept';
  }

  /** Bytes that releasing the reserve now would free. If 0, it may still free an inode. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Removes the zeros or, if they are gone, one of the empty files. Resolves with whether a file
   * was removed.
   */
  async giveUp(): Promise<boolean> {
    await this.#making;
    if (this.#state === 'absent') return false;
    try {
      await this.#lock.whenHeld();
    } catch {
      return false;
    }
    this.#state = 'given-up';
    this.#heldBytes = 0;
    return giveUpOneReserve(this.#fs, this.#directory);
  }

  /** Waits for a file that is being created. It remains for the next open. */
  async close(): Promise<void> {
    await this.#making;
  }

  async #make(): Promise<boolean> {
    try {
      const existing = await this.#fs.stat(this.#path).catch(() => undefined);
      // The zeros were released by an earlier open, or by this one for its lease, and there is
      // still no space.
      if (existing === undefined && (await this.#hasSpare())) this.#state = 'given-up';
      await this.#lock.whenHeld();
      if (existing?.sizeBytes !== this.sizeBytes) {
        if (existing !== undefined) await this.#fs.unlink(this.#path);
        const freeBytes = await this.#fs.freeBytes(this.#directory);
        if (freeBytes < 2 * this.sizeBytes) return false;
        await this.#write(await this.#fs.open(this.#path, 'wx'));
      }
      this.#heldBytes = this.sizeBytes;
      const isWhole = await this.#makeSpares();
      // Each provides an inode for the next full disk. Without them the disk still counts as full.
      if (!isWhole) this.#state = 'given-up';
      return isWhole;
    } catch {
      return false;
    }
  }

  async #hasSpare(): Promise<boolean> {
    for (const name of SPARE_NAMES) {
      const path = join(this.#directory, name);
      const isThere = await this.#fs.stat(path).then(
        () => true,
        () => false,
      );
      if (isThere) return true;
    }
    return false;
  }

  /**
   * Creates the missing empty files. Returns false if the disk lacks space for one. If one cannot
   * be created for another reason, the reserve works without it.
   */
  async #makeSpares(): Promise<boolean> {
    for (const name of SPARE_NAMES) {
      try {
        const spare = await this.#fs.open(join(this.#directory, name), 'wx');
        await spare.close();
      } catch (error) {
        if (isLackOfSpace(error)) return false;
      }
    }
    return true;
  }

  async #write(file: OpenFile): Promise<void> {
    try {
      await writeZeros(file, 0, this.sizeBytes);
      // Before a sync, a file system may not have allocated the space.
      await file.dataSync();
    } catch (error) {
      await unlinkIfThere(this.#fs, this.#path).catch(() => undefined);
      throw error;
    } finally {
      await file.close().catch(() => undefined);
    }
  }
}
