import { join, relative, resolve, sep } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { INCOMPLETE_NAME } from '../format/file-name.ts';
import { Directory, realPathOf } from '../fs/directory.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { unlinkIfThere } from '../fs/unlink.ts';
import { ensureDirectory } from '../directory/ensure-directory.ts';
import { UsageError } from './output/command-errors.ts';

/**
 * A directory that a command fills. Until `finish` it holds a marker with which no store opens
 * there; `discard` removes all that has been made.
 */
export class FreshDirectory {
  /**
   * Holds it open: what is written lands there, whatever becomes of its path. Closed when it ends.
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
   * `source`: the directory that is read, which must lie apart.
   * @throws UsageError when the target is not empty or not apart; StoreError; system errors as they
   *   are
   */
  static async create(fs: FileSystem, target: string, source: string): Promise<FreshDirectory> {
    const path = resolve(target);
    // Whatever symbolic links lead there.
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

  /** Makes the directory what it is to be. All files in it have been synced. */
  async finish(): Promise<void> {
    await this.fs.syncDirectory(this.path);
    await this.fs.unlink(join(this.path, INCOMPLETE_NAME));
    await this.fs.syncDirectory(this.path);
    await this.fs.close();
  }

  /**
   * Removes what has been made; the marker goes last. What cannot be removed stays behind the
   * marker.
   */
  async discard(): Promise<void> {
    try {
      for (const { name } of await this.fs.readDirectory(this.path)) {
        if (name !== INCOMPLETE_NAME) await this.fs.unlink(join(this.path, name));
      }
      await unlinkIfThere(this.fs, join(this.path, INCOMPLETE_NAME));
      // By its path, and only if it is empty.
      if (this.#isMade) await this.#outer.removeDirectory(this.path);
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
    } finally {
      await this.fs.close();
    }
  }
}

function isInside(path: string, parent: string): boolean {
  const way = relative(parent, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith(sep));
}

/** True when the directory is not there yet. */
async function requireEmpty(fs: FileSystem, path: string, given: string): Promise<boolean> {
  try {
    const entries = await fs.readDirectory(path);
    if (entries.length === 0) return false;
    const isLeft = entries.some((entry) => entry.name === INCOMPLETE_NAME);
    const why = isLeft ? 'what an interrupted command has left there' : 'files there already';
    throw new UsageError(`${given} is not empty: it holds ${why}. Give a directory of its own`);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return true;
    if (systemCode(error) === 'ENOTDIR') throw new UsageError(`${given} is not a directory`);
    throw error;
  }
}
