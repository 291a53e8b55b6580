import type { FileLock, OpenFile } from '../fs/file-system.ts';
import { writeFully } from '../fs/write.ts';
import { systemError } from './disk/system-error.ts';

/** A kernel lock on the simulated file system. */
export class CrashLock implements FileLock {
  #handle: OpenFile | undefined;
  readonly #path: string;
  readonly #onRelease: () => void;
  readonly identity: string;
  readonly isInPlace: () => boolean;

  /** Takes ownership of `handle`, an open file with this inode number. */
  constructor(
    handle: OpenFile,
    path: string,
    {
      inodeId,
      isInPlace,
      onRelease,
    }: { inodeId: number; isInPlace: () => boolean; onRelease: () => void },
  ) {
    this.identity = String(inodeId);
    this.isInPlace = isInPlace;
    this.#handle = handle;
    this.#path = path;
    this.#onRelease = onRelease;
  }

  writeRecord(record: Uint8Array): Promise<void> {
    return this.#write(record, 0);
  }

  writeClaim(sector: Uint8Array, position: number): Promise<void> {
    return this.#write(sector, position);
  }

  async writeNote(sector: Uint8Array, position: number): Promise<void> {
    await writeFully(this.#open, sector, position);
  }

  get #open(): OpenFile {
    if (this.#handle === undefined) throw systemError('EBADF', 'write', this.#path);
    return this.#handle;
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    const file = this.#open;
    await writeFully(file, bytes, position);
    await file.dataSync();
  }

  async release(): Promise<void> {
    const held = this.#handle;
    this.#handle = undefined;
    if (held === undefined) return;
    this.#onRelease();
    await held.close();
  }
}
