import { basename, join } from 'node:path';
import { CorruptionError, systemCode } from '../../base/errors.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import {
  readPosition,
  removePosition,
  writePosition,
  type ReplicaPosition,
} from './position-file.ts';

const GENERATION_NAME = /^generation-(\d{1,15})$/;

/**
 * The directory of a replica contains generations: directories with a store and its position file.
 * A restore creates a new generation beside the old one, which serves reads meanwhile. The position
 * file is written last, so a generation without it is unfinished. The highest finished generation
 * is used. A restore that fails removes its generation: the one before it may have more batches.
 */
export class Generations {
  readonly #fs: FileSystem;
  readonly #directory: string;

  constructor(fs: FileSystem, directory: string) {
    this.#fs = fs;
    this.#directory = directory;
  }

  /** The highest finished generation; undefined if there is none. The directory must exist. */
  async newest(): Promise<string | undefined> {
    for (const number of await this.#numbers()) {
      const path = this.#path(number);
      if (await isFinished(this.#fs, path)) return path;
    }
    return undefined;
  }

  /**
   * Creates the directory of a generation with the highest number. Removes unfinished generations,
   * except `kept`, which a crash or a failed removal has left: each may be as large as the store.
   */
  async begin(kept?: string): Promise<string> {
    for (const number of await this.#numbers()) {
      const path = this.#path(number);
      const isKept = path === kept || (await isFinished(this.#fs, path).catch(() => true));
      if (!isKept) await this.remove(path).catch(() => undefined);
    }
    const [highest = 0] = await this.#numbers();
    const path = this.#path(highest + 1);
    await this.#fs.makeDirectory(path);
    await this.#fs.syncDirectory(this.#directory);
    return path;
  }

  /** Marks a generation as finished; all of it must be durable. */
  async finish(path: string, position: ReplicaPosition): Promise<void> {
    await writePosition(this.#fs, path, position);
  }

  /** Removes all other generations. */
  async removeOthers(kept: string): Promise<void> {
    for (const number of await this.#numbers()) {
      const path = this.#path(number);
      if (path !== kept) await this.remove(path);
    }
  }

  /**
   * Removes a generation whose store is closed. Its position file is removed first, so that after a
   * crash at any step it is either whole or unfinished.
   */
  async remove(path: string): Promise<void> {
    await removePosition(this.#fs, path);
    await removeTree(this.#fs, path);
    await this.#fs.syncDirectory(this.#directory);
  }

  /** Highest first. */
  async #numbers(): Promise<number[]> {
    const entries = await this.#fs.readDirectory(this.#directory);
    return entries
      .map(({ name }) => Number(GENERATION_NAME.exec(name)?.[1] ?? -1))
      .filter((number) => number >= 0)
      .sort((a, b) => b - a);
  }

  #path(number: number): string {
    return join(this.#directory, `generation-${number}`);
  }
}

/** A generation with a damaged position file is finished. */
async function isFinished(fs: FileSystem, path: string): Promise<boolean> {
  try {
    return (await readPosition(fs, path)) !== undefined;
  } catch (error) {
    if (error instanceof CorruptionError) return true;
    throw error;
  }
}

/** Whether `path` is that of a finished generation. */
export async function isGeneration(fs: FileSystem, path: string): Promise<boolean> {
  return GENERATION_NAME.test(basename(path)) && isFinished(fs, path);
}

/** Removes a directory and everything below it. Also resolves if it does not exist. */
export async function removeTree(fs: FileSystem, path: string): Promise<void> {
  try {
    for (const { name, kind } of await fs.readDirectory(path)) {
      const below = join(path, name);
      if (kind === 'directory') await removeTree(fs, below);
      else await fs.unlink(below);
    }
    await fs.removeDirectory(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}
