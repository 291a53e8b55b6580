import type { FileLock, OpenFile } from '../fs/file-system.ts';
import { systemError } from './system-error.ts';

/** A kernel lock on the simulated file system. */
export class CrashLock implements FileLock {
  #handle: OpenFile | undefined;
  readonly #path: string;
  readonly #onRelease: () => void;

  /** Takes over `handle`, an open file. */
  constructor(handle: OpenFile, path: string, onRelease: () => void) {
    this.#handle = handle;
    this.#path = path;
    this.#onRelease = onRelease;
  }

  async writeRecord(record: Uint8Array): Promise<void> {
    if (this.#handle === undefined) throw systemError('EBADF', 'write', this.#path);
    await this.#handle.write(record, 0);
    await this.#handle.truncate(record.byteLength);
    await this.#handle.dataSync();
  }

  async release(): Promise<void> {
    const held = this.#handle;
    this.#handle = undefined;
    if (held === undefined) return;
    this.#onRelease();
    await held.close();
  }
}
