import { join, resolve } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { isInside } from '../base/path.ts';
import { INCOMPLETE_NAME } from '../format/file-name.ts';
import { Directory, realPathOf } from '../fs/directory.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { unlinkIfThere } from '../fs/unlink.ts';
import { ensureDirectory } from '../directory/ensure-directory.ts';
import { UsageError } from './output/command-errors.ts';

/**
 * A directory that a command fills. Until `finish`, a marker in it prevents it from being opened as
 * a store. `discard` removes everything that was created.
 */
export class FreshDirectory {
  /**
   * Keeps the directory open, so files are written there even if its path changes meanwhile. Closed
   * by `finish` and `discard`.
   */
  readonly fs: Directory;
  readonly #outer: FileSystem;
  readonly #isMade: boolean;

  private constructor(outer: FileSystem, held: Directory, isMade: boolean) {
    this.#outer = outer;
    this.fs = held;
    this.#isMade = isMade;
  }

  /** The real path. */
  get path(): string {
    return this.fs.realPath;
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
    const held = await Directory.open(fs, path);
    try {
      const marker = await held.open(join(held.realPath, INCOMPLETE_NAME), 'wx');
      await marker.close();
      await held.syncDirectory(held.realPath);
    } catch (error) {
      await held.close();
      throw error;
    }
    return new FreshDirectory(fs, held, isMade);
  }

  /** Removes the marker. All files must have been synced. */
  async finish(): Promise<void> {
    await this.fs.syncDirectory(this.path);
    await this.fs.unlink(join(this.path, INCOMPLETE_NAME));
    await this.fs.syncDirectory(this.path);
    await this.fs.close();
  }

  /**
   * Removes what was created, the marker last. If something cannot be removed, the marker remains
   * too.
   */
  async discard(): Promise<void> {
    try {
      for (const { name } of await this.fs.readDirectory(this.path)) {
        if (name !== INCOMPLETE_NAME) await this.fs.unlink(join(this.path, name));
      }
      await unlinkIfThere(this.fs, join(this.path, INCOMPLETE_NAME));
      // By its path, and only if the directory is empty.
      if (this.#isMade) await this.#outer.removeDirectory(this.path);
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
    } finally {
      await this.fs.close();
    }
  }
}

/** Returns whether the directory does not exist yet. */
async function requireEmpty(fs: FileSystem, path: string, given: string): Promise<boolean> {
  try {
    const entries = await fs.readDirectory(path);
    if (entries.length === 0) return false;
    const isLeft = entries.some((entry) => entry.name === INCOMPLETE_NAME);
    const why = isLeft ? 'the output of an interrupted command' : 'other files';
    throw new UsageError(
      `${given} is not empty: it contains ${why}. Use a new or an empty directory`,
    );
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return true;
    if (systemCode(error) === 'ENOTDIR') throw new UsageError(`${given} is not a directory`);
    throw error;
  }
}
