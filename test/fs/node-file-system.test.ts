import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { InvariantError } from '../../src/base/assert.ts';
import { systemCode } from '../../src/base/errors.ts';
import type { OpenFile } from '../../src/fs/file-system.ts';
import { writevFully } from '../../src/fs/write.ts';
import { nodeFileSystem as fs } from '../../src/fs/node-file-system.ts';
import { NodeOpenFile } from '../../src/fs/node-open-file.ts';
import { openDescriptor } from '../../src/fs/descriptor.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => systemCode(error),
  );
}

/** The open flags of a descriptor on `path`, as reported by the kernel. */
function kernelFlags(path: string): number {
  const script = `for fd in /proc/${process.pid}/fd/*; do
    [ "$(readlink $fd)" = "${path}" ] && grep flags: /proc/${process.pid}/fdinfo/$(basename $fd); done; true`;
  const line = execFileSync('sh', ['-c', script], { encoding: 'utf8' });
  return Number.parseInt(/flags:\s*(\d+)/.exec(line)?.[1] ?? '', 8);
}

describe('open', () => {
  test('wx creates a file, and rejects EEXIST if it exists', async () => {
    const path = join(await temporaryDirectory(), 'file');
    const file = await fs.open(path, 'wx');
    expect(await file.write(bytes('abc'), 0)).toBe(3);
    await file.close();
    expect(await codeOf(fs.open(path, 'wx'))).toBe('EEXIST');
    expect(readFileSync(path, 'utf8')).toBe('abc');
    expect(statSync(path).mode & 0o777).toBe(0o666 & ~process.umask());
  });

  test.each(['r', 'r+', 'rs+'] as const)(
    '%s neither creates nor truncates a file',
    async (mode) => {
      const path = join(await temporaryDirectory(), 'file');
      expect(await codeOf(fs.open(path, mode))).toBe('ENOENT');
      writeFileSync(path, 'kept');
      const file = await fs.open(path, mode);
      expect(await file.stat()).toEqual({ kind: 'file', sizeBytes: 4 });
      expect(await codeOf(file.write(bytes('K'), 0))).toBe(mode === 'r' ? 'EBADF' : 'resolved');
      await file.close();
      expect(readFileSync(path, 'utf8')).toBe(mode === 'r' ? 'kept' : 'Kept');
    },
  );

  test.runIf(process.platform === 'linux')('only rs+ uses O_DSYNC', async () => {
    const path = join(await temporaryDirectory(), 'file');
    writeFileSync(path, '');
    const O_DSYNC = 0o10000;
    for (const mode of ['r', 'r+', 'rs+'] as const) {
      const file = await fs.open(path, mode);
      expect(kernelFlags(path) & O_DSYNC).toBe(mode === 'rs+' ? O_DSYNC : 0);
      await file.close();
    }
  });
});

describe('an open file', () => {
  test('reads and writes at positions and returns the number of bytes', async () => {
    const path = join(await temporaryDirectory(), 'file');
    const file = await fs.open(path, 'wx');
    const source = bytes('0123456789').subarray(2, 6);
    expect(await file.write(source, 3)).toBe(4);
    const target = new Uint8Array(16).fill(255);
    expect(await file.read(target.subarray(4, 12), 1)).toBe(6);
    expect([...target]).toEqual([
      255, 255, 255, 255, 0, 0, 50, 51, 52, 53, 255, 255, 255, 255, 255, 255,
    ]);
    expect(await file.read(target, 7)).toBe(0);
    expect(await file.read(new Uint8Array(0), 0)).toBe(0);
    await file.truncate(5);
    await file.dataSync();
    expect((await file.stat()).sizeBytes).toBe(5);
    await file.close();
  });

  test('reads more than 2 GiB in part', async () => {
    const path = join(await temporaryDirectory(), 'file');
    writeFileSync(path, 'abc');
    const file = await fs.open(path, 'r');
    expect(await file.read(new Uint8Array(2 ** 31 + 1), 0)).toBe(3);
    await file.close();
  });

  test('a write that is synced afterwards resolves to the bytes written', async () => {
    const path = join(await temporaryDirectory(), 'file');
    writeFileSync(path, '');
    const { O_RDWR } = (await import('node:fs')).constants;
    const file = new NodeOpenFile(await openDescriptor(path, O_RDWR), path, 'by-us');
    expect(await file.write(bytes('abc'), 0)).toBe(3);
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('abc');
  });

  test('close waits for calls in flight and ends all use', async () => {
    const path = join(await temporaryDirectory(), 'file');
    const file = await fs.open(path, 'wx');
    const order: string[] = [];
    const source = new Uint8Array(8 << 20).fill(7);
    const written = file.write(source, 0).then(() => order.push('written'));
    const closed = file.close().then(() => order.push('closed'));
    await expect(file.write(source, 0)).rejects.toThrow(InvariantError);
    await Promise.all([written, closed]);
    expect(order).toEqual(['written', 'closed']);
    expect(statSync(path).size).toBe(source.byteLength);
    await expect(file.close()).rejects.toThrow(InvariantError);
    await expect(file.read(source, 0)).rejects.toThrow(InvariantError);
  });
});

/** Folders on other file systems than that of temporary files, if there are any. */
const FOLDERS = [tmpdir(), '/dev/shm'].filter((folder) => existsSync(folder));
const BLOCK = 4096;

/** The bytes that a file uses on its disk. */
function usedBytes(path: string): number {
  return statSync(path).blocks * 512;
}

describe.each(FOLDERS)('the space of a file in %s', (folder) => {
  const home = mkdtempSync(join(folder, 'lodestore-space-'));
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  test('writev writes its parts one after another, also more than the system accepts at once', async () => {
    const path = join(home, 'parts');
    const file = await fs.open(path, 'wx');
    expect(await file.writev([bytes('ab'), bytes(''), bytes('cde')], 1)).toBe(5);
    expect(await file.writev([], 0)).toBe(0);
    expect(readFileSync(path, 'latin1')).toBe('\0abcde');
    const parts = Array.from({ length: 3000 }, (_, index) => bytes(String(index % 10)));
    await writevFully(file, parts, 0);
    expect(readFileSync(path, 'latin1')).toBe('0123456789'.repeat(300));
    await file.close();
  });

  test('preallocate takes the space, keeps the contents, and never shortens', async () => {
    const path = join(home, 'ahead');
    const file = await fs.open(path, 'wx');
    await file.write(bytes('abc'), 0);
    await file.preallocate(64 * BLOCK);
    await file.sync();
    expect(usedBytes(path)).toBeGreaterThanOrEqual(64 * BLOCK);
    await file.preallocate(10);
    expect(statSync(path).size).toBe(64 * BLOCK);
    expect(readFileSync(path).subarray(0, 5)).toEqual(Buffer.from('abc\0\0'));
    expect(await codeOf(file.preallocate(-1))).toBe('EINVAL');
    await file.close();
  });

  test.runIf(process.platform === 'linux')(
    'trim frees whole blocks; the range reads as zeros, and the size stays',
    async () => {
      const path = join(home, 'trimmed');
      const file = await fs.open(path, 'wx');
      await file.write(new Uint8Array(16 * BLOCK).fill(7), 0);
      await file.sync();
      expect(usedBytes(path)).toBeGreaterThanOrEqual(16 * BLOCK);
      await file.trim(100, 4 * BLOCK);
      await file.dataSync();
      expect(usedBytes(path)).toBeLessThanOrEqual(13 * BLOCK);
      const content = readFileSync(path);
      expect(content.length).toBe(16 * BLOCK);
      const zeros = content.subarray(100, 100 + 4 * BLOCK);
      expect(zeros.every((byte) => byte === 0)).toBe(true);
      expect([content[99], content[100 + 4 * BLOCK]]).toEqual([7, 7]);
      await file.trim(15 * BLOCK, 1000 * BLOCK);
      await file.trim(900 * BLOCK, BLOCK);
      await file.trim(0, 0);
      expect(statSync(path).size).toBe(16 * BLOCK);
      expect(await codeOf(file.trim(-1, 5))).toBe('EINVAL');
      await file.close();
      const reader = await fs.open(path, 'r');
      expect(await codeOf(reader.trim(0, BLOCK))).toBe('EBADF');
      await reader.close();
    },
  );
});

test('short writes of several parts continue after the bytes written', async () => {
  const written: [string, number][] = [];
  const file = {
    writev: async (sources: readonly Uint8Array[], position: number) => {
      const whole = Buffer.concat(sources);
      written.push([whole.toString(), position]);
      return Math.min(3, whole.length);
    },
  } as OpenFile;
  await writevFully(file, [bytes('ab'), bytes(''), bytes('cdef'), bytes('g')], 10);
  expect(written).toEqual([
    ['abcdefg', 10],
    ['defg', 13],
    ['g', 16],
  ]);
});

describe('names', () => {
  test('a directory lists names and kinds; a link is neither a file nor a directory', async () => {
    const directory = await temporaryDirectory();
    await fs.makeDirectory(join(directory, 'sub'));
    writeFileSync(join(directory, 'file'), '12');
    symlinkSync('file', join(directory, 'link'));
    const entries = await fs.readDirectory(directory);
    expect(entries.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
      { name: 'file', kind: 'file' },
      { name: 'link', kind: 'other' },
      { name: 'sub', kind: 'directory' },
    ]);
    expect(await fs.stat(join(directory, 'link'))).toEqual({ kind: 'file', sizeBytes: 2 });
    expect((await fs.stat(directory)).kind).toBe('directory');
    expect(statSync(join(directory, 'sub')).mode & 0o777).toBe(0o777 & ~process.umask());
  });

  test('rename replaces, unlink removes, a directory is synced', async () => {
    const directory = await temporaryDirectory();
    writeFileSync(join(directory, 'a'), 'a');
    writeFileSync(join(directory, 'b'), 'b');
    await fs.rename(join(directory, 'a'), join(directory, 'b'));
    await fs.syncDirectory(directory);
    expect(readFileSync(join(directory, 'b'), 'utf8')).toBe('a');
    await fs.unlink(join(directory, 'b'));
    expect(await fs.readDirectory(directory)).toEqual([]);
  });

  test('a link is a second name of a file; only an empty directory is removed', async () => {
    const directory = await temporaryDirectory();
    const [a, b, sub] = ['a', 'b', 'sub'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(a, 'a');
    await fs.link(a, b);
    expect(statSync(a).ino).toBe(statSync(b).ino);
    expect(await codeOf(fs.link(a, b))).toBe('EEXIST');
    expect(await codeOf(fs.link(join(directory, 'absent'), join(directory, 'c')))).toBe('ENOENT');
    await mkdir(sub);
    writeFileSync(join(sub, 'file'), '');
    expect(await codeOf(fs.removeDirectory(sub))).toBe('ENOTEMPTY');
    await fs.unlink(join(sub, 'file'));
    await fs.removeDirectory(sub);
    expect(await codeOf(fs.removeDirectory(sub))).toBe('ENOENT');
    expect(await codeOf(fs.removeDirectory(a))).toBe('ENOTDIR');
  });

  test('errors are the system errors', async () => {
    const directory = await temporaryDirectory();
    const absent = join(directory, 'absent');
    await mkdir(join(directory, 'sub'));
    expect(await codeOf(fs.readDirectory(absent))).toBe('ENOENT');
    expect(await codeOf(fs.stat(absent))).toBe('ENOENT');
    expect(await codeOf(fs.unlink(absent))).toBe('ENOENT');
    expect(await codeOf(fs.rename(absent, join(directory, 'x')))).toBe('ENOENT');
    expect(await codeOf(fs.syncDirectory(absent))).toBe('ENOENT');
    expect(await codeOf(fs.freeBytes(absent))).toBe('ENOENT');
    expect(await codeOf(fs.makeDirectory(join(directory, 'sub')))).toBe('EEXIST');
    expect(await codeOf(fs.makeDirectory(join(absent, 'sub')))).toBe('ENOENT');
  });

  test('the free bytes are those of df, except for concurrent writes', async () => {
    const directory = await temporaryDirectory();
    const free = await fs.freeBytes(directory);
    const shown = execFileSync('df', ['-k', '--output=avail', directory], { encoding: 'utf8' });
    const expected = Number(shown.trim().split('\n')[1]) * 1024;
    expect(Math.abs(free - expected)).toBeLessThan(expected * 0.2 + (1 << 30));
  });
});
