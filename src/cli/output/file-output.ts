import { basename, dirname, join } from 'node:path';
import { systemCode } from '../../base/errors.ts';
import { isInside } from '../../base/path.ts';
import { Directory } from '../../fs/directory.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { writeFully } from '../../fs/write.ts';
import { UsageError } from './command-errors.ts';
import type { TextSink } from './text-sink.ts';

const BUFFER_CHARACTERS: number = 256 * 1024;

/**
 * A text file that gets its name only when it is complete and durable. Until `finish` it is called
 * `NAME.partial`; `discard` removes it.
 */
export class FileOutput implements TextSink {
  /** The directory of the file. Closed by `finish` and `discard`. */
  readonly #held: Directory;
  readonly #path: string;
  readonly #partialPath: string;
  readonly #file: OpenFile;
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
    if (await exists(fs, path)) {
      throw new UsageError(`${path} already exists: remove it, or use another name`);
    }
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

  async finish(): Promise<void> {
    await this.flush();
    await this.#file.dataSync();
    await this.#file.close();
    await this.#held.rename(this.#partialPath, this.#path);
    await this.#held.syncDirectory(this.#held.realPath);
    await this.#held.close();
  }

  async discard(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await unlinkIfThere(this.#held, this.#partialPath);
    await this.#held.close();
  }
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
