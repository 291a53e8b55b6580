import { close, fdatasync, fstat, ftruncate, open, read, write, writev } from 'node:fs';
import { mkdir, open as openHandle, readdir, stat, statfs, unlink } from 'node:fs/promises';
import type { NodeFile, NodeFiles } from '../volumes/files.ts';

function call<T>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) =>
    start((error, value) => (error === null ? resolve(value as T) : reject(error))),
  );
}

function fileOf(fd: number): NodeFile {
  return {
    read: (target, at) => call<number>((done) => read(fd, target, 0, target.length, at, done)),
    write: (source, at) => call<number>((done) => write(fd, source, 0, source.length, at, done)),
    writev: (sources, at) => call<number>((done) => writev(fd, sources, at, done)),
    truncate: (sizeBytes) => call<void>((done) => ftruncate(fd, sizeBytes, done)),
    trim: () => Promise.reject(new Error('not yet')),
    dataSync: () => call<void>((done) => fdatasync(fd, done)),
    stat: async () => ({
      sizeBytes: (await call<{ size: number }>((done) => fstat(fd, done))).size,
    }),
    close: () => call<void>((done) => close(fd, done)),
  };
}

export const systemFiles: NodeFiles = {
  open: async (path, mode) =>
    fileOf(await call<number>((done) => open(path, mode === 'wx' ? 'wx+' : mode, done))),
  readDirectory: (path) => readdir(path, { withFileTypes: true }),
  stat: async (path) => ({ sizeBytes: (await stat(path)).size }),
  unlink,
  makeDirectory: async (path) => {
    await mkdir(path);
  },
  syncDirectory: async (path) => {
    const handle = await openHandle(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  freeBytes: async (path) => {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  },
};
