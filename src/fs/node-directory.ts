import { constants, fstatSync, fsyncSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { begin, finishAtOnce, waited, type Awaitable, type Flow } from '../base/flow.ts';
import { closeDescriptor, openDescriptor, statDescriptor, syncDescriptor } from './descriptor.ts';
import { isSameDirectory } from './file-system.ts';
import type { DirectoryHold, DirectoryIdentity, HoldState } from './file-system.ts';

/** How calls reach a directory; `by-descriptor` only where the system supports it. */
export type NodeDirectoryAccess = 'by-descriptor' | 'by-path';

/** Attempts to open a path that is replaced during each attempt; then the open fails. */
const MAX_ATTEMPTS = 5;

/** Windows cannot open a directory. */
const CAN_OPEN_DIRECTORIES: boolean = process.platform !== 'win32';

/** Rejects with the system's error: `ENOENT`, `ENOTDIR`, `EACCES`, `EMFILE`, … */
export async function holdDirectory(
  path: string,
  wanted: NodeDirectoryAccess,
): Promise<DirectoryHold> {
  for (let attempt = 1; ; attempt++) {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY;
    const descriptor = CAN_OPEN_DIRECTORIES ? await openDescriptor(path, flags) : undefined;
    try {
      const hold = await tryToHold(path, descriptor, wanted);
      if (hold !== undefined) return hold;
      if (attempt === MAX_ATTEMPTS) throw switched(path);
    } catch (error) {
      if (descriptor !== undefined) await closeDescriptor(descriptor);
      throw error;
    }
    if (descriptor !== undefined) await closeDescriptor(descriptor);
  }
}

/** Undefined if the path led to two different directories during the attempt. */
async function tryToHold(
  path: string,
  descriptor: number | undefined,
  wanted: NodeDirectoryAccess,
): Promise<NodeDirectoryHold | undefined> {
  const stats = descriptor === undefined ? await statPath(path) : await statDescriptor(descriptor);
  if (!stats.isDirectory()) throw notADirectory(path);
  const identity = identityOf(stats);
  const realPath = await realPathOf(path);
  if (!isSameDirectory(identityOf(await statPath(realPath)), identity)) return undefined;
  const isByDescriptor =
    wanted === 'by-descriptor' && descriptor !== undefined && (await leadsTo(descriptor, identity));
  const access = isByDescriptor ? descriptorPath(descriptor) : realPath;
  return new NodeDirectoryHold(realPath, access, identity, descriptor);
}

/** Reads the status through a descriptor or a path. */
interface Looks {
  readonly atDescriptor: (descriptor: number) => Awaitable<BigIntStats>;
  readonly atPath: (path: string) => Awaitable<BigIntStats>;
}

const LOOKS: Looks = { atDescriptor: statDescriptor, atPath: statPath };
const BLOCKING_LOOKS: Looks = {
  atDescriptor: (descriptor) => fstatSync(descriptor, { bigint: true }),
  atPath: (path) => statSync(path, { bigint: true }),
};

class NodeDirectoryHold implements DirectoryHold {
  readonly realPath: string;
  readonly access: string;
  readonly identity: DirectoryIdentity;
  /** Also kept where calls cannot use it: while it is open, no other directory gets this inode. */
  readonly #descriptor: number | undefined;

  constructor(
    realPath: string,
    access: string,
    identity: DirectoryIdentity,
    descriptor: number | undefined,
  ) {
    this.realPath = realPath;
    this.access = access;
    this.identity = identity;
    this.#descriptor = descriptor;
  }

  readonly blocking = {
    check: (): HoldState => finishAtOnce(this.#checking(BLOCKING_LOOKS)),
    sync: (): void => {
      if (this.#descriptor !== undefined) fsyncSync(this.#descriptor);
    },
  };

  async check(): Promise<HoldState> {
    return begin(this.#checking(LOOKS));
  }

  *#checking(looks: Looks): Flow<HoldState> {
    if (this.#descriptor !== undefined) {
      const held = yield* waited(looks.atDescriptor(this.#descriptor));
      if (!isSameDirectory(identityOf(held), this.identity)) return 'elsewhere';
      if (held.nlink === 0n) return 'removed';
    }
    if (this.access !== this.realPath) return 'held';
    try {
      const found = identityOf(yield* waited(looks.atPath(this.realPath)));
      return isSameDirectory(found, this.identity) ? 'held' : 'elsewhere';
    } catch (error) {
      const code = systemCode(error);
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return 'elsewhere';
      throw error;
    }
  }

  async sync(): Promise<void> {
    // Where no directory can be opened, the file system journals its names.
    if (this.#descriptor !== undefined) await syncDescriptor(this.#descriptor);
  }

  async close(): Promise<void> {
    if (this.#descriptor !== undefined) await closeDescriptor(this.#descriptor);
  }
}

/** On Linux, names below this path are looked up in the directory of the descriptor. */
function descriptorPath(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`;
}

/** False where there is no `/proc`, or access to it is denied. */
async function leadsTo(descriptor: number, identity: DirectoryIdentity): Promise<boolean> {
  const path = descriptorPath(descriptor);
  try {
    return isSameDirectory(identityOf(await statPath(path)), identity) && isPermitted(path);
  } catch {
    return false;
  }
}

/** Node's permission model checks the text of paths. */
function isPermitted(path: string): boolean {
  const { permission } = process;
  if (permission === undefined) return true;
  const name = `${path}/name`;
  return permission.has('fs.read', name) && permission.has('fs.write', name);
}

/** A process that may not read the parent directories gets the path as it was given. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EACCES' || code === 'EPERM' || code === 'ERR_ACCESS_DENIED') return resolve(path);
    throw error;
  }
}

function statPath(path: string): Promise<BigIntStats> {
  return stat(path, { bigint: true });
}

function identityOf(stats: BigIntStats): DirectoryIdentity {
  return { device: stats.dev, inode: stats.ino };
}

function notADirectory(path: string): NodeJS.ErrnoException {
  const message = `ENOTDIR: not a directory, open '${path}'`;
  return Object.assign(new Error(message), { code: 'ENOTDIR', syscall: 'open', path });
}

function switched(path: string): NodeJS.ErrnoException {
  const message = `EAGAIN: the path resolves differently each time, open '${path}'`;
  return Object.assign(new Error(message), { code: 'EAGAIN', syscall: 'open', path });
}
