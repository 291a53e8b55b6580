import { basename } from 'node:path';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';

export interface SourceViewOptions {
  /** Names that are not shown: files that cannot be read. */
  readonly hidden?: ReadonlySet<string>;
  /** Hears of every read, with its bytes. */
  readonly onRead?: (lengthBytes: number) => void;
}

/** A file system on which a directory can be read as if some of its files were not there. */
export function viewSource(fs: FileSystem, options: SourceViewOptions): FileSystem {
  const { hidden, onRead } = options;
  return {
    readDirectory: async (path) => {
      const entries = await fs.readDirectory(path);
      return entries.filter((entry) => hidden?.has(basename(entry.name)) !== true);
    },
    open: async (path, mode) => {
      const file = await fs.open(path, mode);
      return onRead === undefined ? file : tellReads(file, onRead);
    },
    stat: (path) => fs.stat(path),
    rename: (from, to) => fs.rename(from, to),
    unlink: (path) => fs.unlink(path),
    link: (existing, path) => fs.link(existing, path),
    makeDirectory: (path) => fs.makeDirectory(path),
    removeDirectory: (path) => fs.removeDirectory(path),
    syncDirectory: (path) => fs.syncDirectory(path),
    freeBytes: (path) => fs.freeBytes(path),
    tryLock: (path) => fs.tryLock(path),
    takeLease: (path, lease) => fs.takeLease(path, lease),
    breakLease: (path) => fs.breakLease(path),
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
    write: (source, position) => file.write(source, position),
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    dataSync: () => file.dataSync(),
    stat: () => file.stat(),
    statSync: () => file.statSync(),
    close: () => file.close(),
  };
}
