// @ts-check
import { open } from 'node:fs/promises';

/** @import { FileHandle } from 'node:fs/promises' */

/**
 * A file of object bytes that only grows. One run of the process creates it and appends to it;
 * every later run only reads it, so whatever a crash left behind its last known object is never
 * touched again.
 */
export class Volume {
  /** @type {number} */
  number;
  /** Syncs that were carried out. */
  syncs = 0;
  /** @type {FileHandle} */
  #file;
  #tailBytes = 0;
  /** @type {Error | undefined} */
  #failure;
  /** @type {Promise<void>} */
  #lastSync = Promise.resolve();
  /** The sync that has not begun yet, for all who come now. @type {Promise<void> | undefined} */
  #nextSync;

  /**
   * @param {number} number
   * @param {FileHandle} file
   */
  constructor(number, file) {
    this.number = number;
    this.#file = file;
  }

  /**
   * Makes a new file. Its name is durable only when its directory has been synced.
   * @param {string} path
   * @param {number} number
   */
  static async create(path, number) {
    return new Volume(number, await open(path, 'wx+'));
  }

  /**
   * @param {string} path
   * @param {number} number
   */
  static async openForReading(path, number) {
    return new Volume(number, await open(path, 'r'));
  }

  /** Bytes appended by this run. */
  get tailBytes() {
    return this.#tailBytes;
  }

  /** False after a failed write or sync: what the disk holds of the last appends is unknown. */
  get isSound() {
    return this.#failure === undefined;
  }

  /**
   * Writes `bytes` behind everything else and returns their offset. Durable only after `sync`.
   * @param {Uint8Array} bytes
   */
  async append(bytes) {
    if (this.#failure !== undefined) throw this.#failure;
    const offset = this.#tailBytes;
    this.#tailBytes += bytes.length;
    try {
      await this.#writeAll(bytes, offset);
    } catch (error) {
      // Space that was refused is asked for again by the next append, unless others are behind it
      // already.
      if (this.#tailBytes === offset + bytes.length) this.#tailBytes = offset;
      if (!isLackOfSpace(error)) this.#failure = /** @type {Error} */ (error);
      throw error;
    }
    return offset;
  }

  /**
   * @param {Uint8Array} bytes
   * @param {number} offset
   */
  async #writeAll(bytes, offset) {
    for (let doneBytes = 0; doneBytes < bytes.length;) {
      const rest = bytes.length - doneBytes;
      const { bytesWritten } = await this.#file.write(bytes, doneBytes, rest, offset + doneBytes);
      doneBytes += bytesWritten;
    }
  }

  /**
   * Resolves when all appends that resolved before this call are on stable storage. Whoever calls
   * while a sync runs shares the next one: under load, one fdatasync serves many uploads.
   * @returns {Promise<void>}
   */
  sync() {
    if (this.#nextSync === undefined) {
      this.#nextSync = this.#syncAfter(this.#lastSync);
      this.#lastSync = this.#nextSync;
    }
    return this.#nextSync;
  }

  /** @param {Promise<void>} previous */
  async #syncAfter(previous) {
    await previous.catch(() => undefined);
    this.#nextSync = undefined;
    // Never repeated: after a failed sync the kernel may have dropped the bytes and report success
    // next time.
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await this.#file.datasync();
      this.syncs++;
    } catch (error) {
      this.#failure = /** @type {Error} */ (error);
      throw error;
    }
  }

  /**
   * Fills `target` from `offset` on as far as the file goes, and returns the number of bytes.
   * @param {Uint8Array} target
   * @param {number} offset
   */
  async read(target, offset) {
    let doneBytes = 0;
    while (doneBytes < target.length) {
      const rest = target.length - doneBytes;
      const { bytesRead } = await this.#file.read(target, doneBytes, rest, offset + doneBytes);
      if (bytesRead === 0) break;
      doneBytes += bytesRead;
    }
    return doneBytes;
  }

  close() {
    return this.#file.close();
  }
}

/**
 * Whether the disk refused for want of space, quota, or by a file size limit.
 * @param {unknown} error
 */
export function isLackOfSpace(error) {
  const { code } = /** @type {{ code?: unknown }} */ (error ?? {});
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}
