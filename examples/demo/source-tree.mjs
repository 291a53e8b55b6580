// @ts-check
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * A regular file of the tree.
 * @typedef {object} SourceFile
 * @property {string} name  relative to the tree, with slashes: the object's name
 * @property {string} path
 * @property {number} lengthBytes
 * @property {number} modifiedMs
 */

/** The regular files below a directory, ordered by name, up to a limit. */
export class SourceTree {
  /** @type {SourceFile[]} */
  files = [];
  bytes = 0;
  symbolicLinks = 0;
  /** Number of sockets, pipes and devices. */
  specialFiles = 0;
  /** Number of files that exceed the limit of bytes alone. */
  tooLarge = 0;
  /** Paths that could not be read, with the reason. @type {string[]} */
  unreadable = [];
  /** True if a limit ended the search. */
  isCut = false;
  #limits;

  /** @param {{ maxFiles: number, maxBytes: number }} limits */
  constructor(limits) {
    this.#limits = limits;
  }

  /**
   * @param {string} directory
   * @param {{ maxFiles: number, maxBytes: number }} limits
   */
  static async read(directory, limits) {
    const tree = new SourceTree(limits);
    await tree.#walk(directory, '');
    return tree;
  }

  /**
   * @param {string} directory
   * @param {string} prefix
   */
  async #walk(directory, prefix) {
    const entries = await this.#orUnreadable(
      directory,
      readdir(directory, { withFileTypes: true }),
    );
    entries?.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries ?? []) {
      if (this.isCut) return;
      const path = join(directory, entry.name);
      const name = prefix + entry.name;
      if (entry.isDirectory()) await this.#walk(path, `${name}/`);
      else if (entry.isFile()) await this.#add(name, path);
      else if (entry.isSymbolicLink()) this.symbolicLinks++;
      else this.specialFiles++;
    }
  }

  /**
   * @param {string} name
   * @param {string} path
   */
  async #add(name, path) {
    const stats = await this.#orUnreadable(path, lstat(path));
    if (stats === undefined) return;
    const { maxFiles, maxBytes } = this.#limits;
    if (stats.size > maxBytes) {
      this.tooLarge++;
    } else if (this.files.length === maxFiles || this.bytes + stats.size > maxBytes) {
      this.isCut = true;
    } else {
      this.bytes += stats.size;
      this.files.push({ name, path, lengthBytes: stats.size, modifiedMs: stats.mtimeMs });
    }
  }

  /**
   * @template T
   * @param {string} path
   * @param {Promise<T>} reading
   * @returns {Promise<T | undefined>}
   */
  async #orUnreadable(path, reading) {
    try {
      return await reading;
    } catch (error) {
      this.unreadable.push(`${path}: ${/** @type {Error} */ (error).message}`);
      return undefined;
    }
  }
}
