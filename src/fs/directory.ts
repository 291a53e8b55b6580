import { basename, dirname, join, sep } from 'node:path';
import { assert } from '../base/assert.ts';
import { DirectoryLostError, systemCode } from '../base/errors.ts';
import { isSameDirectory } from './file-system.ts';
import type {
  BlockingCalls,
  DirectoryEntry,
  DirectoryHold,
  DirectoryReference,
  FileLock,
  FileStat,
  FileSystem,
  HoldState,
  Lease,
  LeaseOptions,
  OpenFile,
  OpenMode,
} from './file-system.ts';

export type LostListener = (error: DirectoryLostError) => void;

/**
 * A directory that is held open, and the file system as seen from it. Paths at or below `realPath`
 * resolve in the held directory, even if its path has changed since. All other paths are passed on
 * unchanged.
 *
 * A directory may be opened through others, as the parent of a backup is through the store's. A
 * path that is in several belongs to the one that is nearest to it; of equal paths, to the one that
 * was opened first. So the store's files are taken from the store's directory, even if another
 * directory has taken its path.
 *
 * Where the system can address a directory by its descriptor, a renamed directory keeps working,
 * and no call reaches another directory that took its path. Elsewhere the path is used and compared
 * with the descriptor: before each call that creates, changes or removes a name, and after each
 * open. A directory that was removed, or that its path no longer leads to, is lost: these calls
 * reject with `DirectoryLostError` and do nothing. All other errors are the system's, with the real
 * path.
 */
export class Directory implements FileSystem {
  /** Absolute and free of symbolic links: where the directory was when it was first opened. */
  readonly realPath: string;
  readonly #fs: FileSystem;
  readonly #hold: DirectoryHold;
  readonly #onLost: LostListener | undefined;
  /** Of this directory and of those that it was opened through. */
  readonly #realPaths: readonly string[];
  /** The paths of the others that are at or below `realPath`. */
  readonly #innerPaths: readonly string[];
  #state: 'open' | 'closed' = 'open';
  #inFlight = 0;
  #onIdle: (() => void) | undefined = undefined;

  private constructor(
    fs: FileSystem,
    hold: DirectoryHold,
    realPath: string,
    onLost: LostListener | undefined,
  ) {
    this.#fs = fs;
    this.#hold = hold;
    this.realPath = realPath;
    this.#onLost = onLost;
    const others = fs instanceof Directory ? fs.#realPaths : [];
    this.#realPaths = [realPath, ...others];
    this.#innerPaths = others.filter((other) => isAtOrBelow(other, realPath));
  }

  /**
   * Opens the directory that `path` leads to. `onLost` is called, maybe more than once, when the
   * directory turns out to be lost. Rejects with the system's error, for example `ENOENT` or
   * `ENOTDIR`.
   */
  static async open(fs: FileSystem, path: string, onLost?: LostListener): Promise<Directory> {
    const hold = await fs.holdDirectory(path);
    return new Directory(fs, hold, hold.realPath, onLost);
  }

  /**
   * Opens the directory that another `Directory` holds, in any thread of this process.
   * @throws DirectoryLostError if neither its descriptor nor its path leads there any more
   */
  static async share(fs: FileSystem, reference: DirectoryReference): Promise<Directory> {
    for (const path of new Set([reference.access, reference.realPath])) {
      const hold = await fs.holdDirectory(path).catch((error: unknown) => {
        if (isAbsence(error)) return undefined;
        throw error;
      });
      if (hold === undefined) continue;
      if (isSameDirectory(hold.identity, reference.identity)) {
        return new Directory(fs, hold, reference.realPath, undefined);
      }
      await hold.close();
    }
    throw new DirectoryLostError(lostMessage(reference.realPath, 'elsewhere'), {
      path: reference.realPath,
    });
  }

  /** What {@link share} needs to open the same directory. Valid until this one is closed. */
  get reference(): DirectoryReference {
    const { access, identity } = this.#hold;
    return { realPath: this.realPath, access, identity };
  }

  /**
   * Resolves while names can still be created in the directory.
   * @throws DirectoryLostError
   */
  async requireHeld(): Promise<void> {
    await this.#run(() => this.#check());
  }

  /**
   * Waits for calls in flight. After it, no call may be made and no lease taken here may be held.
   */
  async close(): Promise<void> {
    assert(this.#state === 'open', 'a directory is closed once');
    this.#state = 'closed';
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await this.#hold.close();
  }

  open(path: string, mode: OpenMode): Promise<OpenFile> {
    if (!this.#isInside(path)) return this.#fs.open(path, mode);
    return this.#run(async () => {
      if (mode === 'wx') await this.#check();
      const file = await this.#fs.open(this.#access(path), mode).catch((error: unknown) => {
        // A new name gets this error only in a directory that was removed.
        if (mode === 'wx' && systemCode(error) === 'ENOENT' && dirname(path) === this.realPath) {
          throw this.#lost('removed');
        }
        throw error;
      });
      if (this.#isByPath) await this.#checkOpened(file);
      return file;
    });
  }

  readDirectory(path: string): Promise<DirectoryEntry[]> {
    return this.#run(() => this.#fs.readDirectory(this.#access(path)));
  }

  stat(path: string): Promise<FileStat> {
    return this.#run(() => this.#fs.stat(this.#access(path)));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change([from, to], () => this.#fs.rename(this.#access(from), this.#access(to)));
  }

  unlink(path: string): Promise<void> {
    return this.#change([path], () => this.#fs.unlink(this.#access(path)));
  }

  link(existing: string, path: string): Promise<void> {
    const link = () => this.#fs.link(this.#access(existing), this.#access(path));
    return this.#change([existing, path], link);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#change([path], () => this.#fs.makeDirectory(this.#access(path)));
  }

  removeDirectory(path: string): Promise<void> {
    return this.#change([path], () => this.#fs.removeDirectory(this.#access(path)));
  }

  syncDirectory(path: string): Promise<void> {
    const sync = (): Promise<void> =>
      this.#isSelf(path) ? this.#hold.sync() : this.#fs.syncDirectory(this.#access(path));
    return this.#change([path], sync);
  }

  freeBytes(path: string): Promise<number> {
    return this.#run(() => this.#fs.freeBytes(this.#access(path)));
  }

  tryLock(path: string): Promise<FileLock | undefined> {
    return this.#change([path], () => this.#fs.tryLock(this.#access(path)));
  }

  takeLease(path: string, options: LeaseOptions): Promise<Lease> {
    return this.#change([path], () => this.#fs.takeLease(this.#access(path), options));
  }

  breakLease(path: string): Promise<void> {
    return this.#change([path], () => this.#fs.breakLease(this.#access(path)));
  }

  holdDirectory(path: string): Promise<DirectoryHold> {
    return this.#run(() => this.#fs.holdDirectory(this.#access(path)));
  }

  get blocking(): BlockingCalls | undefined {
    const calls = this.#fs.blocking;
    const hold = this.#hold.blocking;
    if (calls === undefined || hold === undefined) return undefined;
    const check = (): void => this.#requireState(hold.check());
    return {
      open: (path, mode) => {
        if (!this.#isInside(path)) return calls.open(path, mode);
        return this.#runNow(() => {
          if (mode === 'wx') check();
          const file = calls.open(this.#access(path), mode);
          if (this.#isByPath) check();
          return file;
        });
      },
      unlink: (path) =>
        this.#runNow(() => {
          if (this.#isInside(path)) check();
          calls.unlink(this.#access(path));
        }),
      syncDirectory: (path) =>
        this.#runNow(() => {
          if (this.#isInside(path)) check();
          if (this.#isSelf(path)) hold.sync();
          else calls.syncDirectory(this.#access(path));
        }),
    };
  }

  get #isByPath(): boolean {
    return this.#hold.access === this.realPath;
  }

  #isSelf(path: string): boolean {
    return path === this.realPath && this.#isInside(path);
  }

  /** Whether calls reach the path through this directory. */
  #isInside(path: string): boolean {
    if (!isAtOrBelow(path, this.realPath)) return false;
    return !this.#innerPaths.some((inner) => isAtOrBelow(path, inner));
  }

  #access(path: string): string {
    if (!this.#isInside(path)) return path;
    return exchangePrefix(path, this.realPath, this.#hold.access);
  }

  #change<T>(paths: readonly string[], call: () => Promise<T>): Promise<T> {
    return this.#run(async () => {
      if (paths.some((path) => this.#isInside(path))) await this.#check();
      return call();
    });
  }

  async #run<T>(call: () => Promise<T>): Promise<T> {
    assert(this.#state === 'open', 'a closed directory is not used');
    this.#inFlight++;
    try {
      return await call();
    } catch (error) {
      throw this.#shown(error);
    } finally {
      this.#inFlight--;
      if (this.#inFlight === 0) this.#onIdle?.();
    }
  }

  #runNow<T>(call: () => T): T {
    assert(this.#state === 'open', 'a closed directory is not used');
    try {
      return call();
    } catch (error) {
      throw this.#shown(error);
    }
  }

  async #check(): Promise<void> {
    this.#requireState(await this.#hold.check());
  }

  #requireState(state: HoldState): void {
    if (state !== 'held') throw this.#lost(state);
  }

  /** The path may have led elsewhere at the time of the open. */
  async #checkOpened(file: OpenFile): Promise<void> {
    try {
      await this.#check();
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  #lost(state: Exclude<HoldState, 'held'>): DirectoryLostError {
    const path = this.realPath;
    const error = new DirectoryLostError(lostMessage(path, state), { path });
    this.#onLost?.(error);
    return error;
  }

  /** Replaces the internal path in the error by the path that users know. */
  #shown(error: unknown): unknown {
    if (this.#isByPath || !(error instanceof Error) || systemCode(error) === undefined)
      return error;
    const fields = error as { path?: unknown; dest?: unknown };
    for (const name of ['path', 'dest'] as const) {
      const path = fields[name];
      if (typeof path !== 'string') continue;
      const shown = exchangePrefix(path, this.#hold.access, this.realPath);
      fields[name] = shown;
      error.message = error.message.replaceAll(`'${path}'`, `'${shown}'`);
    }
    return error;
  }
}

/** The path without symbolic links, as far as it exists. Rejects with the system's error. */
export async function realPathOf(fs: FileSystem, path: string): Promise<string> {
  try {
    const hold = await fs.holdDirectory(path);
    await hold.close();
    return hold.realPath;
  } catch (error) {
    const code = systemCode(error);
    const parent = dirname(path);
    if (parent === path || (code !== 'ENOENT' && code !== 'ENOTDIR')) throw error;
    return join(await realPathOf(fs, parent), basename(path));
  }
}

/** Replaces the prefix `from` of a path by `to`; other paths are returned unchanged. */
function exchangePrefix(path: string, from: string, to: string): string {
  if (path === from) return to;
  const prefix = withSeparator(from);
  return path.startsWith(prefix) ? withSeparator(to) + path.slice(prefix.length) : path;
}

function isAtOrBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(withSeparator(directory));
}

function withSeparator(path: string): string {
  return path.endsWith(sep) ? path : path + sep;
}

/** True if there is nothing at the path, no directory, or access is denied. */
function isAbsence(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES' || code === 'EBADF';
}

function lostMessage(path: string, state: Exclude<HoldState, 'held'>): string {
  const what =
    state === 'removed'
      ? 'was removed while it was open'
      : 'no longer leads to the directory that was opened: it was moved, or another one took its path';
  return `${path} ${what}; no further writes. Close this store, find its directory, and open it again`;
}
