import type { FileSystem, OpenFile } from '../../src/fs/file-system.ts';

function failure(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

function refuse(path: string): Promise<never> {
  return Promise.reject(failure('EROFS', path));
}

/** Read-only files of one directory in memory: fast enough to open thousands. */
export function readOnlyFiles(files: ReadonlyMap<string, Uint8Array>): FileSystem {
  const bytesOf = (path: string): Uint8Array => {
    const bytes = files.get(path.slice(path.lastIndexOf('/') + 1));
    if (bytes === undefined) throw failure('ENOENT', path);
    return bytes;
  };
  return {
    open: async (path, mode) => (mode === 'r' ? openedFile(bytesOf(path), path) : refuse(path)),
    readDirectory: async () => [...files.keys()].map((name) => ({ name, kind: 'file' as const })),
    stat: async (path) =>
      path.lastIndexOf('/') === 0
        ? { kind: 'directory', sizeBytes: 0 }
        : { kind: 'file', sizeBytes: bytesOf(path).length },
    rename: refuse,
    unlink: refuse,
    link: refuse,
    makeDirectory: refuse,
    removeDirectory: refuse,
    syncDirectory: refuse,
    freeBytes: refuse,
    tryLock: refuse,
    takeLease: refuse,
    breakLease: refuse,
    holdDirectory: async (path) => ({
      realPath: path,
      access: path,
      identity: { device: 0n, inode: 0n },
      check: async () => 'held' as const,
      sync: () => refuse(path),
      close: async () => undefined,
    }),
  };
}

/** One file in memory, open for reading. */
export function openedFile(bytes: Uint8Array, path = '/file'): OpenFile {
  return {
    read: async (target, position) => {
      const part = bytes.subarray(position, position + target.length);
      target.set(part);
      return part.length;
    },
    write: () => refuse(path),
    writev: () => refuse(path),
    truncate: () => refuse(path),
    preallocate: () => refuse(path),
    trim: () => refuse(path),
    dataSync: () => refuse(path),
    sync: () => refuse(path),
    stat: async () => ({ kind: 'file', sizeBytes: bytes.length }),
    statSync: () => ({ sizeBytes: bytes.length, linkCount: 1, isNamed: true }),
    close: async () => undefined,
  };
}
