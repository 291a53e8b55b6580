import { basename } from 'node:path';
import { InvariantError } from '../base/assert.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';

export interface SourceViewOptions {
  /** Names to hide: files that cannot be read. */
  readonly hidden?: ReadonlySet<string>;
  /** Called with the number of bytes of every read. */
  readonly onRead?: (lengthBytes: number) => void;
}

async function refuse(): Promise<never> {
  throw new InvariantError('a directory that is only looked at would be changed');
}

/**
 * Returns a read-only view of a file system in which some files of a directory are hidden. Every
 * call that would change something rejects with an InvariantError.
 */
export function viewSource(fs: FileSystem, options: SourceViewOptions): FileSystem {
  const { hidden, onRead } = options;
  return {
    readDirectory: async (path) => {
      const entries = await fs.readDirectory(path);
      return entries.filter((entry) => hidden?.has(basename(entry.name)) !== true);
    },
    open: async (path, mode) => {
      if (mode !== 'r') return refuse();
      const file = await fs.open(path, mode);
      return onRead === undefined ? file : tellReads(file, onRead);
    },
    stat: (path) => fs.stat(path),
    rename: refuse,
    unlink: refuse,
    link: refuse,
    makeDirectory: refuse,
    removeDirectory: refuse,
    syncDirectory: refuse,
    freeBytes: (path) => fs.freeBytes(path),
    tryLock: refuse,
    takeLease: refuse,
    breakLease: refuse,
    holdDirectory: (path) => fs.holdDirectory(path),
  };
}

function tellReads(file: OpenFile, onRead: (lengthBytes: number) => void): OpenFile {
  return {
    read: async (target, position) => {
      const count = await file.read(target, position);
      onRead(count);
      return count;
    },
    write: refuse,
    writev: refuse,
    truncate: refuse,
    preallocate: refuse,
    trim: refuse,
    dataSync: refuse,
    sync: refuse,
    stat: () => file.stat(),
    statSync: (maxAgeMs) => file.statSync(maxAgeMs),
    close: () => file.close(),
  };
}
