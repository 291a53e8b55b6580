import { basename, dirname, join } from 'node:path';
import { systemCode } from '../../base/errors.ts';
import { isInside } from '../../base/path.ts';
import { syncAncestors } from '../../directory/ensure-directory.ts';
import { Directory } from '../../fs/directory.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { linkIfPossible } from '../../fs/link.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { writeFully } from '../../fs/write.ts';
import { UsageError } from './command-errors.ts';
import type { TextSink } from './text-sink.ts';

const BUFFER_CHARACTERS: number = 256 * 1024;

/** `named`: the file has its own name. `durable`: and will keep it. */
type Stage = 'open' | 'closed' | 'named' | 'durable';

/**
 * A text file that gets its name only when it is complete and durable. Until `finish` it is called
 * `NAME.partial`; `discard` removes it. Another file is never replaced.
 */
export class FileOutput implements TextSink {
  /** The directory of the file. Closed by `finish` and `discard`. */
  readonly #held: Directory;
  readonly #path: string;
  readonly #partialPath: string;
  readonly #file: OpenFile;
  #stage: Stage = 'open';
  #text = '';
  #lengthBytes = 0;

  private constructor(held: Directory, path: string, partialPath: string, file: OpenFile) {
    this.#held = held;
    this.#path = path;
    this.#partialPath = partialPath;
    this.#file = file;
  }

  /**
   * `source`: the real path of the store that is read. No file of ours may appear in it, where a
   * name like `log_…` would be taken for its own.
   *
   * @throws UsageError if a file with the name exists, or is to be inside `source`; system errors
   *   unchanged
   */
  static async create(fs: FileSystem, path: string, source: string): Promise<FileOutput> {
    if (await exists(fs, path)) throw taken(path);
    const held = await Directory.open(fs, dirname(path));
    if (isInside(held.realPath, source)) {
      await held.close();
      throw new UsageError(`${path} must not be inside ${source}`);
    }
    const place = join(held.realPath, basename(path));
    const partialPath = `${place}.partial`;
    try {
      return new FileOutput(held, place, partialPath, await held.open(partialPath, 'wx'));
    } catch (error) {
      await held.close();
      if (systemCode(error) !== 'EEXIST') throw error;
      const what = 'left by an export that was killed or is still running';
      throw new UsageError(`${partialPath} already exists: ${what}; remove it first`);
    }
  }

  get isFull(): boolean {
    return this.#text.length >= BUFFER_CHARACTERS;
  }

  /** Number of bytes written so far. */
  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  write(text: string): void {
    this.#text += text;
  }

  async flush(): Promise<void> {
    const bytes = Buffer.from(this.#text);
    this.#text = '';
    await writeFully(this.#file, bytes, this.#lengthBytes);
    this.#lengthBytes += bytes.length;
  }

  /** @throws UsageError if a file with the name has appeared meanwhile; system errors unchanged */
  async finish(): Promise<void> {
    await this.flush();
    await this.#file.dataSync();
    this.#stage = 'closed';
    await this.#file.close();
    await this.#giveName();
    await this.#held.syncDirectory(this.#held.realPath);
    await syncAncestors(this.#held, this.#held.realPath);
    this.#stage = 'durable';
    await this.#held.close();
  }

  /** A rename would replace a file that has appeared meanwhile. */
  async #giveName(): Promise<void> {
    if (await this.#link()) {
      this.#stage = 'named';
      await this.#held.syncDirectory(this.#held.realPath);
      await this.#held.unlink(this.#partialPath);
      return;
    }
    if (await exists(this.#held, this.#path)) throw taken(this.#path);
    await this.#held.rename(this.#partialPath, this.#path);
    this.#stage = 'named';
  }

  /** Gives the file its name, too. Returns false if the system has no hard links. */
  async #link(): Promise<boolean> {
    try {
      return await linkIfPossible(this.#held, this.#partialPath, this.#path);
    } catch (error) {
      throw systemCode(error) === 'EEXIST' ? taken(this.#path) : error;
    }
  }

  /**
   * Removes the file, unless it is durable under its name. A failure is not reported: the one
   * before it is the cause.
   */
  async discard(): Promise<void> {
    if (this.#stage === 'durable') return;
    if (this.#stage === 'open') await this.#file.close().catch(() => undefined);
    const paths = this.#stage === 'named' ? [this.#path, this.#partialPath] : [this.#partialPath];
    for (const path of paths) await unlinkIfThere(this.#held, path).catch(() => undefined);
    await this.#held.close().catch(() => undefined);
  }
}

function taken(path: string): UsageError {
  return new UsageError(`${path} already exists: remove it, or use another name`);
}

async function exists(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await fs.stat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}
