import type { DirectoryHold, FileSystem, OpenFile, OpenMode } from '../../src/fs/file-system.ts';
import type { FaultyFileSystem } from './store-factory.ts';

/** Passes every call on. A faulty file overrides some of them. */
class HonestFile implements OpenFile {
  protected readonly file: OpenFile;

  constructor(file: OpenFile) {
    this.file = file;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.file.read(target, position);
  }

  write(source: Uint8Array, position: number): Promise<number> {
    return this.file.write(source, position);
  }

  writev(sources: readonly Uint8Array[], position: number): Promise<number> {
    return this.file.writev(sources, position);
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.file.truncate(sizeBytes);
  }

  preallocate(sizeBytes: number): Promise<void> {
    return this.file.preallocate(sizeBytes);
  }

  trim(position: number, lengthBytes: number): Promise<void> {
    return this.file.trim(position, lengthBytes);
  }

  dataSync(): Promise<void> {
    return this.file.dataSync();
  }

  sync(): Promise<void> {
    return this.file.sync();
  }

  stat(): ReturnType<OpenFile['stat']> {
    return this.file.stat();
  }

  statSync(maxAgeMs?: number): ReturnType<OpenFile['statSync']> {
    return this.file.statSync(maxAgeMs);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** The calls that a faulty file system replaces; the others are passed on. */
interface Fault {
  readonly open?: (fs: FileSystem, path: string, mode: OpenMode) => Promise<OpenFile>;
  readonly rename?: (fs: FileSystem, from: string, to: string) => Promise<void>;
  readonly syncDirectory?: (fs: FileSystem, path: string) => Promise<void>;
  /** Called before a name is created. */
  readonly onName?: (kind: 'create' | 'rename', path: string) => void;
}

function makeFaulty(fault: Fault): (fs: FileSystem) => FileSystem {
  return (fs) => ({
    open: (path, mode) => {
      if (mode === 'wx') fault.onName?.('create', path);
      return fault.open?.(fs, path, mode) ?? fs.open(path, mode);
    },
    rename: (from, to) => {
      fault.onName?.('rename', to);
      return fault.rename?.(fs, from, to) ?? fs.rename(from, to);
    },
    syncDirectory: (path) => fault.syncDirectory?.(fs, path) ?? fs.syncDirectory(path),
    readDirectory: (path) => fs.readDirectory(path),
    stat: (path) => fs.stat(path),
    unlink: (path) => fs.unlink(path),
    link: (existing, path) => fs.link(existing, path),
    makeDirectory: (path) => fs.makeDirectory(path),
    removeDirectory: (path) => fs.removeDirectory(path),
    freeBytes: (path) => fs.freeBytes(path),
    tryLock: (path) => fs.tryLock(path),
    takeLease: (path, options) => fs.takeLease(path, options),
    breakLease: (path) => fs.breakLease(path),
    holdDirectory: async (path) => makeFaultyHold(fault, fs, await fs.holdDirectory(path)),
  });
}

/**
 * A held directory is synced through its descriptor, so a fault of `syncDirectory` applies there
 * too.
 */
function makeFaultyHold(fault: Fault, fs: FileSystem, hold: DirectoryHold): DirectoryHold {
  return {
    ...hold,
    sync: () => fault.syncDirectory?.(fs, hold.access) ?? hold.sync(),
  };
}

const isTemporary = (path: string): boolean => path.endsWith('.tmp');

/** Wraps files with these modes and paths. */
function withFiles(
  wrap: (file: OpenFile, path: string, mode: OpenMode) => OpenFile,
): Required<Pick<Fault, 'open'>> {
  return { open: async (fs, path, mode) => wrap(await fs.open(path, mode), path, mode) };
}

class AcksBeforeSync extends HonestFile {
  override async write(source: Uint8Array, position: number): Promise<number> {
    const count = await this.file.write(source, position);
    void this.file.dataSync().catch(() => undefined);
    return count;
  }
}

class SwallowsSyncErrors extends HonestFile {
  override async dataSync(): Promise<void> {
    await this.file.dataSync().catch(() => undefined);
  }
}

class SwallowsWriteErrors extends SwallowsSyncErrors {
  override async write(source: Uint8Array, position: number): Promise<number> {
    return this.file.write(source, position).catch(() => source.length);
  }
}

class RetriesSyncs extends HonestFile {
  override async dataSync(): Promise<void> {
    await this.file.dataSync().catch(() => this.file.dataSync());
  }
}

/** Repeats the write of a log as a sync only: the page cache has the bytes. */
class RetriesWritesAsSyncs extends RetriesSyncs {
  override async write(source: Uint8Array, position: number): Promise<number> {
    return this.file.write(source, position).catch(async () => {
      await this.file.dataSync();
      return source.length;
    });
  }
}

class IgnoresShortWrites extends HonestFile {
  override async write(source: Uint8Array, position: number): Promise<number> {
    await this.file.write(source, position);
    return source.length;
  }
}

class IgnoresTruncates extends HonestFile {
  override async truncate(): Promise<void> {
    await this.file.stat();
  }
}

class NeverSyncs extends HonestFile {
  override async dataSync(): Promise<void> {
    await this.file.stat();
  }
}

/** Skips the directory sync after the creation of a log, or after a rename. */
function forgetsDirectorySync(
  matches: (kind: 'create' | 'rename', path: string) => boolean,
): FaultyFileSystem {
  return (fs) => {
    let last = false;
    return makeFaulty({
      onName: (kind, path) => {
        last = matches(kind, path);
      },
      syncDirectory: async (inner, path) => {
        if (!last) return inner.syncDirectory(path);
        last = false;
        await inner.stat(path);
      },
    })(fs);
  };
}

/** Syncs snapshots only after they have their name. */
const RENAMES_BEFORE_SYNC: FaultyFileSystem = makeFaulty({
  ...withFiles((file, path) => (isTemporary(path) ? new NeverSyncs(file) : file)),
  rename: async (fs, from, to) => {
    await fs.rename(from, to);
    const file = await fs.open(to, 'r+');
    await file.dataSync();
    await file.close();
  },
});

/** Mistakes that can be planted between a store and its file system. */
export const FAULTY_FILE_SYSTEMS: Readonly<Record<string, FaultyFileSystem>> = {
  'no sync before an acknowledgement': makeFaulty({
    open: (fs, path, mode) => fs.open(path, mode === 'rs+' ? 'r+' : mode),
  }),
  'acknowledged before the sync': makeFaulty({
    open: async (fs, path, mode) =>
      mode === 'rs+' ? new AcksBeforeSync(await fs.open(path, 'r+')) : fs.open(path, mode),
  }),
  'no directory sync after a log is created': forgetsDirectorySync(
    (kind, path) => kind === 'create' && path.includes('log_'),
  ),
  'no directory sync after a rename': forgetsDirectorySync((kind) => kind === 'rename'),
  "the store's directory is not synced into its parent": makeFaulty({
    syncDirectory: (fs, path) =>
      path === '/' ? fs.stat('/').then(() => undefined) : fs.syncDirectory(path),
  }),
  'snapshot renamed before its sync': RENAMES_BEFORE_SYNC,
  'snapshot never synced': makeFaulty(
    withFiles((file, path) => (isTemporary(path) ? new NeverSyncs(file) : file)),
  ),
  'sync errors swallowed': makeFaulty(withFiles((file) => new SwallowsSyncErrors(file))),
  "errors of the log's writes swallowed": makeFaulty(
    withFiles((file, _path, mode) => (mode === 'rs+' ? new SwallowsWriteErrors(file) : file)),
  ),
  'syncs retried after an error': makeFaulty(withFiles((file) => new RetriesSyncs(file))),
  "the log's write retried as a sync": makeFaulty(
    withFiles((file, _path, mode) => (mode === 'rs+' ? new RetriesWritesAsSyncs(file) : file)),
  ),
  'errors of directory syncs swallowed': makeFaulty({
    syncDirectory: (fs, path) => fs.syncDirectory(path).catch(() => undefined),
  }),
  'short writes ignored': makeFaulty(withFiles((file) => new IgnoresShortWrites(file))),
  'truncates ignored: torn tails and failed appends stay': makeFaulty(
    withFiles((file) => new IgnoresTruncates(file)),
  ),
};
