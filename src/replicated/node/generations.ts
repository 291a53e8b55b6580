import { join } from 'node:path';
import { CorruptionError, systemCode } from '../../base/errors.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readPosition, writePosition, type ReplicaPosition } from './position-file.ts';

const GENERATION_NAME = /^generation-(\d{1,15})$/;

/**
 * A replica's directory holds generations: directories with a store and its position file. A
 * restore makes a new one beside the old one, which serves reads meanwhile. The position file is
 * written last, so a generation without one was never finished. The highest finished generation
 * counts.
 */
export class Generations {
  readonly #fs: FileSystem;
  readonly #directory: string;

  constructor(fs: FileSystem, directory: string) {
    this.#fs = fs;
    this.#directory = directory;
  }

  /** The finished generation that counts; undefined if there is none. */
  async newest(): Promise<string | undefined> {
    await ensureDirectory(this.#fs, this.#directory, true);
    for (const number of await this.#numbers()) {
      const path = this.#path(number);
      if (await isFinished(this.#fs, path)) return path;
    }
    return undefined;
  }

  /** Makes the directory of a generation above all others. */
  async begin(): Promise<string> {
    await ensureDirectory(this.#fs, this.#directory, true);
    const [highest = 0] = await this.#numbers();
    const path = this.#path(highest + 1);
    await this.#fs.makeDirectory(path);
    await this.#fs.syncDirectory(this.#directory);
    return path;
  }

  /** All of the generation is durable: it counts from now on. */
  async finish(path: string, position: ReplicaPosition): Promise<void> {
    await writePosition(this.#fs, path, position);
  }

  /** Removes all generations but this one. */
  async removeOthers(kept: string): Promise<void> {
    for (const number of await this.#numbers()) {
      const path = this.#path(number);
      if (path !== kept) await removeTree(this.#fs, path);
    }
    await this.#fs.syncDirectory(this.#directory);
  }

  /** The highest first. */
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

/** A damaged position file stands in a finished generation. */
async function isFinished(fs: FileSystem, path: string): Promise<boolean> {
  try {
    return (await readPosition(fs, path)) !== undefined;
  } catch (error) {
    if (error instanceof CorruptionError) return true;
    throw error;
  }
}

/** Removes a directory and all below it; that there is none is as good. */
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
