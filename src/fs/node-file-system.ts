import { closeSync, constants, fsyncSync, openSync, unlinkSync } from 'node:fs';
import { link, mkdir, readdir, rename, rmdir, stat, statfs, unlink } from 'node:fs/promises';
import {
  closeDescriptor,
  NONBLOCKING,
  openDescriptor,
  openFileDescriptor,
  requireFile,
  syncDescriptor,
} from './descriptor.ts';
import type {
  BlockingCalls,
  DirectoryEntry,
  DirectoryHold,
  FileLock,
  FileStat,
  FileSystem,
  Lease,
  LeaseOptions,
  OpenFile,
  OpenMode,
} from './file-system.ts';
import { tryKernelLock } from './kernel-lock.ts';
import { holdDirectory } from './node-directory.ts';
import type { NodeDirectoryAccess } from './node-directory.ts';
import { kindOf, NodeBlockingFile, NodeOpenFile, toFileStat } from './node-open-file.ts';
import type { WriteSync } from './node-open-file.ts';

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = constants;

/**
 * Windows has no O_DSYNC. On macOS, O_DSYNC leaves the bytes in the drive's cache; `fdatasync` by
 * libuv also flushes the cache there.
 */
const DURABLE_WRITES: WriteSync =
  constants.O_DSYNC === undefined || process.platform === 'darwin' ? 'by-us' : 'by-system';

/** Windows cannot open a directory; its file systems journal names. */
const SYNCS_DIRECTORIES: boolean = process.platform !== 'win32';

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  r: O_RDONLY,
  'r+': O_RDWR,
  'rs+': DURABLE_WRITES === 'by-system' ? O_RDWR | constants.O_DSYNC : O_RDWR,
  wx: O_RDWR | O_CREAT | O_EXCL,
};

function writeSyncOf(mode: OpenMode): WriteSync {
  return mode === 'rs+' ? DURABLE_WRITES : 'none';
}

const BLOCKING: BlockingCalls = {
  open: (path, mode) => {
    const descriptor = openSync(path, OPEN_FLAGS[mode] | NONBLOCKING, 0o666);
    requireFile(descriptor, path);
    return new NodeBlockingFile(descriptor, path, writeSyncOf(mode));
  },
  unlink: unlinkSync,
  syncDirectory: (path) => {
    if (!SYNCS_DIRECTORIES) return;
    const descriptor = openSync(path, O_RDONLY);
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  },
};

/** Worker threads take no leases, and start faster without this code. */
function leases(): Promise<typeof import('./lease.ts')> {
  return import('./lease.ts');
}

/**
 * The file system of the machine. Files are created with mode 0666, directories with 0777, less the
 * umask.
 */
export class NodeFileSystem implements FileSystem {
  readonly blocking: BlockingCalls = BLOCKING;
  protected readonly directoryAccess: NodeDirectoryAccess;

  /**
   * With `by-path`, directories are held as on a system that cannot reach them through a
   * descriptor.
   */
  constructor(directoryAccess: NodeDirectoryAccess = 'by-descriptor') {
    this.directoryAccess = directoryAccess;
  }

  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    const descriptor = await openFileDescriptor(path, OPEN_FLAGS[mode]);
    return new NodeOpenFile(descriptor, path, writeSyncOf(mode));
  }

  async readDirectory(path: string): Promise<DirectoryEntry[]> {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  }

  async stat(path: string): Promise<FileStat> {
    return toFileStat(await stat(path));
  }

  rename(from: string, to: string): Promise<void> {
    return rename(from, to);
  }

  unlink(path: string): Promise<void> {
    return unlink(path);
  }

  link(existing: string, path: string): Promise<void> {
    return link(existing, path);
  }

  makeDirectory(path: string): Promise<void> {
    return mkdir(path);
  }

  removeDirectory(path: string): Promise<void> {
    return rmdir(path);
  }

  async syncDirectory(path: string): Promise<void> {
    if (!SYNCS_DIRECTORIES) return;
    const descriptor = await openDescriptor(path, O_RDONLY);
    try {
      await syncDescriptor(descriptor);
    } finally {
      await closeDescriptor(descriptor);
    }
  }

  async freeBytes(path: string): Promise<number> {
    const stats = await statfs(path);
    return stats.bavail * stats.bsize;
  }

  async tryLock(path: string): Promise<FileLock | undefined> {
    const lock = await tryKernelLock(path);
    // The holder takes a lease next: load its code while the syncs before it run.
    if (lock !== undefined) {
      import('./lease-library.ts')
        .then(({ loadLeaseLibrary }) => loadLeaseLibrary())
        // Taking the lease loads it again, and rejects if that fails, too.
        .catch(() => undefined);
    }
    return lock;
  }

  async takeLease(path: string, options: LeaseOptions): Promise<Lease> {
    const { takeLease } = await leases();
    return takeLease(path, options);
  }

  async breakLease(path: string): Promise<void> {
    const { breakLease } = await leases();
    return breakLease(path);
  }

  holdDirectory(path: string): Promise<DirectoryHold> {
    return holdDirectory(path, this.directoryAccess);
  }
}

/** The file system of the machine. Stateless: one instance is enough. */
export const nodeFileSystem: FileSystem = new NodeFileSystem();
