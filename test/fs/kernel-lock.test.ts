import {
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { systemCode } from '../../src/base/errors.ts';
import { type LockDescriptor, tryKernelLock } from '../../src/fs/kernel-lock.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The number of this process's descriptors that are open on `path`. */
function descriptorsOn(path: string): number {
  const targets = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      return undefined;
    }
  });
  return targets.filter((target) => target === path).length;
}

test('one open file description holds the lock, also within one process and by another path', async () => {
  const directory = await temporaryDirectory();
  const path = join(directory, 'lock');
  symlinkSync('lock', join(directory, 'link'));
  const lock = await tryKernelLock(path);
  expect(lock).toBeDefined();
  expect(await tryKernelLock(path)).toBeUndefined();
  expect(await tryKernelLock(join(directory, 'link'))).toBeUndefined();
  expect(await tryKernelLock(relative(process.cwd(), path))).toBeUndefined();
  await lock?.release();
  const next = await tryKernelLock(join(directory, 'link'));
  expect(next).toBeDefined();
  await next?.release();
});

test('a record survives the lock and is overwritten; bytes after it stay; a refused opener leaves it alone', async () => {
  const path = join(await temporaryDirectory(), 'lock');
  writeFileSync(path, 'left by an owner of old');
  const inode = statSync(path).ino;
  const lock = await tryKernelLock(path);
  expect(readFileSync(path, 'utf8')).toBe('left by an owner of old');
  await lock?.writeRecord(bytes('a longer record than the one before'));
  await lock?.writeRecord(bytes('short'));
  expect(await tryKernelLock(path)).toBeUndefined();
  const written = 'shortger record than the one before';
  expect(readFileSync(path, 'utf8')).toBe(written);
  await lock?.release();
  await lock?.release();
  expect(statSync(path).ino).toBe(inode);
  expect(readFileSync(path, 'utf8')).toBe(written);
});

test.each(['ENOLCK', 'ENOTSUP'])('%s is an error, not a lock', async (code) => {
  const path = join(await temporaryDirectory(), 'lock');
  const attempt = tryKernelLock(path, () => {
    throw Object.assign(new Error(code), { code });
  });
  await expect(attempt).rejects.toSatisfy((error) => systemCode(error) === code);
});

test.runIf(process.platform === 'linux')(
  'an opener without the lock keeps no descriptor',
  async () => {
    const path = join(await temporaryDirectory(), 'lock');
    const lock = await tryKernelLock(path);
    expect(await tryKernelLock(path)).toBeUndefined();
    const failing = tryKernelLock(path, () => {
      throw new Error('no locks here');
    });
    await expect(failing).rejects.toThrow('no locks here');
    expect(descriptorsOn(path)).toBe(1);
    await lock?.release();
    expect(descriptorsOn(path)).toBe(0);
  },
);

test('a path that cannot be opened rejects with the system error', async () => {
  const directory = await temporaryDirectory();
  const absent = tryKernelLock(join(directory, 'absent', 'lock'));
  await expect(absent).rejects.toSatisfy((error) => systemCode(error) === 'ENOENT');
});

test('a replaced file is found by a new look; an earlier look may be old', async () => {
  const path = join(await temporaryDirectory(), 'lock');
  const lock = await tryKernelLock(path);
  expect(lock?.identity).toBe(statSync(path, { bigint: true }).ino.toString());
  expect(lock?.isInPlace?.(Infinity)).toBe(true);
  writeFileSync(`${path}.new`, '');
  renameSync(`${path}.new`, path);
  expect(lock?.isInPlace?.(Infinity)).toBe(true);
  expect(lock?.isInPlace?.(0)).toBe(false);
  expect(lock?.isInPlace?.(Infinity)).toBe(false);
  await lock?.release();
});

test('a look that finds another file is not given again', async () => {
  const path = join(await temporaryDirectory(), 'lock');
  const lock = await tryKernelLock(path);
  rmSync(path);
  expect(lock?.isInPlace?.(Infinity)).toBe(false);
  writeFileSync(path, '');
  expect(lock?.isInPlace?.(Infinity)).toBe(false);
  await lock?.release();
});

/** Replaces the file at `path` while it is being locked, `count` times. */
function replacing(path: string, count: number): LockDescriptor {
  let locks = 0;
  return () => {
    if (locks++ < count) {
      writeFileSync(`${path}.${locks}`, '');
      renameSync(`${path}.${locks}`, path);
    }
    return true;
  };
}

test('a file that is replaced while it is being locked is left, and the new one locked', async () => {
  const path = join(await temporaryDirectory(), 'lock');
  const lock = await tryKernelLock(path, replacing(path, 2));
  expect(lock?.identity).toBe(statSync(path, { bigint: true }).ino.toString());
  expect(lock?.isInPlace?.(0)).toBe(true);
  expect(descriptorsOn(path)).toBe(1);
  rmSync(path);
  expect(lock?.isInPlace?.(0)).toBe(false);
  await lock?.release();
});

test('a file that is removed while it is being locked is made anew', async () => {
  const path = join(await temporaryDirectory(), 'lock');
  let locks = 0;
  const lock = await tryKernelLock(path, () => {
    if (locks++ === 0) rmSync(path);
    return true;
  });
  expect(locks).toBe(2);
  expect(lock?.isInPlace?.(0)).toBe(true);
  await lock?.release();
});

test('a file that is replaced again and again is refused by name', async () => {
  const path = join(await temporaryDirectory(), 'lock');
  await expect(tryKernelLock(path, replacing(path, Infinity))).rejects.toMatchObject({
    code: 'EAGAIN',
    path,
    message: expect.stringContaining('another program replaced the file during each of 5 attempts'),
  });
  const open = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      return '';
    }
  });
  expect(open.filter((target) => target.startsWith(path))).toEqual([]);
});
