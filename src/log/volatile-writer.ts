import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { writeFully } from '../fs/write.ts';

/**
 * Writes to a log that are visible at once and durable only after `sync`. The descriptor is opened by the
 * first of them and kept: a system reports what it failed to write back to those that were open by then.
 */
export class VolatileWriter {
  readonly #fs: FileSystem;
  readonly #path: string;
  #file: OpenFile | undefined;

  constructor(fs: FileSystem, path: string) {
    this.#fs = fs;
    this.#path = path;
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    this.#file ??= await this.#fs.open(this.#path, 'r+');
    await writeFully(this.#file, bytes, offset);
  }

  /** Makes durable what was written before. Rejects with the system's error; never to be tried again. */
  async sync(): Promise<void> {
    await this.#file?.dataSync();
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
