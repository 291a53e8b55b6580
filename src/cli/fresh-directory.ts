import { join, resolve } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { isInside } from '../base/path.ts';
import { INCOMPLETE_NAME } from '../format/file-name.ts';
import { Directory, realPathOf } from '../fs/directory.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { unlinkIfThere } from '../fs/unlink.ts';
import { ensureDirectory, syncAncestors } from '../directory/ensure-directory.ts';
import { UsageError } from './output/command-errors.ts';

/**
 * A directory that a command fills. Until `finish`, a marker in it prevents it from being opened as
 * a store. `discard` removes what was created, and nothing else.
 */
export class FreshDirectory {
  /** Writes into the directory, even if its path changes meanwhile. */
  readonly fs: FileSystem;
  readonly #outer: FileSystem;
  /** Closed by `finish` and `discard`. */
  readonly #held: Directory;
  readonly #isMade: boolean;
  /** The paths of the files that were created through `fs`, in this order. */
  readonly #created: Set<string> = new Set();

  private constructor(outer: FileSystem, held: Directory, isMade: boolean) {
    this.#outer = outer;
    this.#held = held;
    this.#isMade = isMade;
    this.fs = viewRecording(held, this.#created);
  }

  /** The real path. */
  get path(): string {
    return this.#held.realPath;
  }

  get #marker(): string {
    return join(this.path, INCOMPLETE_NAME);
  }

  /**
   * `source`: the directory that is read. The target must not contain it or be inside it.
   *
   * @throws UsageError if the target is not empty, contains `source` or is inside it; StoreError;
   *   system errors unchanged
   */
  static async create(fs: FileSystem, target: string, source: string): Promise<FreshDirectory> {
    const path = resolve(target);
    // Compares real paths, because symbolic links may lead into the source.
    const [real, realSource] = [await realPathOf(fs, path), await realPathOf(fs, resolve(source))];
    if (isInside(real, realSource) || isInside(realSource, real)) {
      throw new UsageError(`${target} must not be inside ${source}, nor contain it`);
    }
    const isMade = await requireEmpty(fs, path, target);
    await ensureDirectory(fs, path, true);
    const fresh = new FreshDirectory(fs, await Directory.open(fs, path), isMade);
    try {
      await fresh.#mark(target);
      return fresh;
    } catch (error) {
      await fresh.discard();
      throw error;
    }
  }

  async #mark(given: string): Promise<void> {
    const marker = await this.fs.open(this.#marker, 'wx');
    await marker.close();
    await this.#held.syncDirectory(this.path);
    // A file may have been put here since the first look, or a store may have been opened.
    const entries = await this.#held.readDirectory(this.path);
    const others = entries.filter(({ name }) => name !== INCOMPLETE_NAME);
    if (others.length > 0) throw notEmpty(given, 'other files');
  }

  /**
   * Removes the marker. All files must have been synced. The names of the directory and its parents
   * may not have been, if they existed before.
   */
  async finish(): Promise<void> {
    await this.#held.syncDirectory(this.path);
    await syncAncestors(this.#held, this.path);
    await this.#held.unlink(this.#marker);
    await this.#held.syncDirectory(this.path);
    await this.#held.close();
  }

  /**
   * Removes what was created, the marker last. If something cannot be removed, the marker remains
   * too.
   */
  async discard(): Promise<void> {
    try {
      for (const path of this.#created) {
        if (path !== this.#marker) await unlinkIfThere(this.#held, path);
      }
      await this.#held.syncDirectory(this.path);
      if (this.#created.has(this.#marker)) await unlinkIfThere(this.#held, this.#marker);
      // By its path, and only if the directory is empty.
      if (this.#isMade) await this.#outer.removeDirectory(this.path);
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
    } finally {
      await this.#held.close();
    }
  }
}

/** A view that adds to `created` the path of each file that it creates. */
function viewRecording(fs: FileSystem, created: Set<string>): FileSystem {
  return {
    open: async (path, mode) => {
      if (mode !== 'wx') return fs.open(path, mode);
      try {
        const file = await fs.open(path, mode);
        created.add(path);
        return file;
      } catch (error) {
        // Another failure may have created the file.
        if (systemCode(error) !== 'EEXIST') created.add(path);
        throw error;
      }
    },
    readDirectory: (path) => fs.readDirectory(path),
    stat: (path) => fs.stat(path),
    rename: (from, to) => fs.rename(from, to),
    unlink: (path) => fs.unlink(path),
    link: (existing, path) => fs.link(existing, path),
    makeDirectory: (path) => fs.makeDirectory(path),
    removeDirectory: (path) => fs.removeDirectory(path),
    syncDirectory: (path) => fs.syncDirectory(path),
    freeBytes: (path) => fs.freeBytes(path),
    tryLock: (path) => fs.tryLock(path),
    takeLease: (path, options) => fs.takeLease(path, options),
    breakLease: (path) => fs.breakLease(path),
    holdDirectory: (path) => fs.holdDirectory(path),
  };
}

function notEmpty(given: string, why: string): UsageError {
  return new UsageError(
    `${given} is not empty: it contains ${why}. Use a new or an empty directory`,
  );
}

/** Returns whether the directory does not exist yet. */
async function requireEmpty(fs: FileSystem, path: string, given: string): Promise<boolean> {
  try {
    const entries = await fs.readDirectory(path);
    if (entries.length === 0) return false;
    const isLeft = entries.some((entry) => entry.name === INCOMPLETE_NAME);
    const why = isLeft ? 'the output of an interrupted command' : 'other files';
    throw notEmpty(given, why);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return true;
    if (systemCode(error) === 'ENOTDIR') throw new UsageError(`${given} is not a directory`);
    throw error;
  }
}
