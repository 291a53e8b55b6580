import type { DirectoryHold, DirectoryIdentity, HoldState } from '../fs/file-system.ts';
import type { NameTable, NamePlace } from './disk/name-table.ts';
import { ROOT_ID } from './disk/name-table.ts';
import { systemError } from './disk/system-error.ts';

/**
 * How a directory is reached: through its descriptor, or by its path as on a system without
 * `/proc`.
 */
export type DirectoryAccess = 'by-descriptor' | 'by-path';

const DESCRIPTORS = '/proc/self/fd/';

interface Held {
  readonly directoryId: number;
  readonly realPath: string;
}

/** The calls that make the names of a directory durable. */
interface NameSyncs {
  readonly sync: (access: string) => Promise<void>;
  readonly syncNow: (access: string) => void;
}

/**
 * The directories that a process holds open, and the paths that lead into them. As in a kernel, the
 * lowest free number is used, so a path that is used after the close may lead into another
 * directory.
 */
export class HeldDirectories {
  readonly #names: NameTable;
  readonly #access: DirectoryAccess;
  readonly #held: Map<number, Held> = new Map();

  constructor(names: NameTable, access: DirectoryAccess) {
    this.#names = names;
    this.#access = access;
  }

  /** The number of held directories. */
  get count(): number {
    return this.#held.size;
  }

  /** Holds the directory at `path`. Throws `ENOENT`, `ENOTDIR`. */
  hold(path: string, { sync, syncNow }: NameSyncs): DirectoryHold {
    const directoryId = this.find(path, 'open');
    if (!this.#names.directories.has(directoryId)) throw systemError('ENOTDIR', 'open', path);
    const realPath = normalized(this.shown(path));
    const number = this.#lowestFree();
    this.#held.set(number, { directoryId, realPath });
    const descriptorPath = `${DESCRIPTORS}${number}`;
    return {
      realPath,
      access: this.#access === 'by-descriptor' ? descriptorPath : realPath,
      identity: identityOf(directoryId),
      check: () => Promise.resolve(this.#stateOf(directoryId, realPath)),
      sync: () => sync(descriptorPath),
      blocking: {
        check: () => this.#stateOf(directoryId, realPath),
        sync: () => syncNow(descriptorPath),
      },
      close: () => {
        this.#held.delete(number);
        return Promise.resolve();
      },
    };
  }

  /** Resolves a path from the root or from a held directory. Throws `ENOENT`, `ENOTDIR`. */
  locate(path: string, syscall: string): NamePlace {
    const found = this.#parse(path);
    if (found === undefined) return this.#names.locate(path, syscall);
    if (found.held === undefined) throw systemError('ENOENT', syscall, path);
    const { directoryId } = found.held;
    if (found.rest !== '' && !this.#isLinked(directoryId)) {
      throw systemError('ENOENT', syscall, path);
    }
    return this.#names.locate(found.rest, syscall, directoryId);
  }

  /** The inode at `path`. Throws `ENOENT`. */
  find(path: string, syscall: string): number {
    const { inodeId } = this.locate(path, syscall);
    if (inodeId === undefined) throw systemError('ENOENT', syscall, path);
    return inodeId;
  }

  /** Whether a path leads to a file or directory. */
  isNamed(path: string): boolean {
    try {
      return this.locate(path, 'stat').inodeId !== undefined;
    } catch {
      return false;
    }
  }

  /** Whether a path leads to this inode. */
  leadsTo(path: string, inodeId: number): boolean {
    try {
      return this.locate(path, 'stat').inodeId === inodeId;
    } catch {
      return false;
    }
  }

  /** The path in traces, faults and leases: based on the directory's path when it was opened. */
  shown(path: string): string {
    const found = this.#parse(path);
    if (found?.held === undefined) return path;
    const { realPath } = found.held;
    if (found.rest === '') return realPath;
    return realPath === '/' ? `/${found.rest}` : `${realPath}/${found.rest}`;
  }

  #parse(path: string): { readonly held: Held | undefined; readonly rest: string } | undefined {
    if (!path.startsWith(DESCRIPTORS)) return undefined;
    const [number, ...rest] = path.slice(DESCRIPTORS.length).split('/');
    return { held: this.#held.get(Number(number)), rest: rest.join('/') };
  }

  #lowestFree(): number {
    for (let number = 3; ; number++) if (!this.#held.has(number)) return number;
  }

  #stateOf(directoryId: number, realPath: string): HoldState {
    if (!this.#isLinked(directoryId)) return 'removed';
    if (this.#access === 'by-descriptor') return 'held';
    try {
      return this.#names.find(realPath, 'stat') === directoryId ? 'held' : 'elsewhere';
    } catch {
      return 'elsewhere';
    }
  }

  /** A removed directory takes no new names. */
  #isLinked(directoryId: number): boolean {
    if (directoryId === ROOT_ID) return true;
    const { directories } = this.#names;
    const parent = directories.get(directories.get(directoryId)?.parentId ?? ROOT_ID);
    return parent !== undefined && [...parent.live.values()].includes(directoryId);
  }
}

function identityOf(directoryId: number): DirectoryIdentity {
  return { device: 0n, inode: BigInt(directoryId) };
}

function normalized(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`;
}
