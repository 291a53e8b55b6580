import { join } from 'node:path';
import { isLackOfSpace } from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/held-lock.ts';
import { giveUpOneReserve } from '../../directory/reserve-names.ts';
import { RESERVE_NAME, SPARE_NAMES } from '../../format/file-name.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { writeZeros } from '../../fs/write.ts';

/**
 * `absent`: there has not been room for the file yet; `kept`: it and the empty files beside it are
 * there; `given-up`: the disk was full, and what is not there may be used by what frees more.
 */
export type ReserveState = 'absent' | 'kept' | 'given-up';

/**
 * A file of zeros, and empty files beside it, whose only use is to be removed when the disk is
 * full: then there is room for the deletes and the merge that make more. The zeros give bytes, each
 * file an inode: for a log, for the one that follows it, and for a merge's snapshot. Nothing that
 * is recovered is in them, so none of their failures matters.
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
   * Makes the file unless it is there. Resolves with whether it is kept; never rejects. Asks for
   * twice its size to be free: having it back must not be what fills the disk.
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

  /** Bytes that giving it up now would free. Where that is nothing, it may still give an inode. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Removes the zeros; where they are gone, one of the empty files. Resolves with whether one was
   * removed.
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

  /** Waits for a file that is being made. It stays, for the next open. */
  async close(): Promise<void> {
    await this.#making;
  }

  async #make(): Promise<boolean> {
    try {
      const existing = await this.#fs.stat(this.#path).catch(() => undefined);
      // An earlier open, or this one for its lease, has given the zeros up: there is no more room
      // since.
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
      // Each gives an inode that the next full disk may need: without them the disk is full still.
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
   * Makes the empty files that are not there. False where the disk has no room for one; without one
   * that cannot be made for another reason, the reserve does what it can.
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
      // Until then a file system may only have promised the space.
      await file.dataSync();
    } catch (error) {
      await unlinkIfThere(this.#fs, this.#path).catch(() => undefined);
      throw error;
    } finally {
      await file.close().catch(() => undefined);
    }
  }
}
