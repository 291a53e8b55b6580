import { expect, test } from 'vitest';
import { waited } from '../../src/base/flow.ts';
import { acquireDirectoryLock } from '../../src/directory/lock-acquisition.ts';
import type { DirectoryLock } from '../../src/directory/directory-lock.ts';
import type { FencedError } from '../../src/index.ts';
import { CrashFs, type SystemErrorCode } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';

const LEASE = '/s/lodestore.lease';

async function lockOn(fs: CrashFs, lost: FencedError[]): Promise<DirectoryLock> {
  await fs.makeDirectory('/s');
  const identity = await simulatedEnvironment(fs).identity();
  return acquireDirectoryLock(fs, '/s', identity, {
    staleMs: 5_000,
    onLost: (error) => void lost.push(error),
  });
}

const CAUSES: readonly (readonly [SystemErrorCode, RegExp])[] = [
  ['EPERM', /EPERM.*changed its user.*open the store as the user/],
  ['EACCES', /EACCES.*changed its user.*open the store as the user/],
  ['EROFS', /EROFS.*become read-only.*make it writable/],
  ['ENOENT', /was removed, by hand or by another host/],
  ['ELOCKED', /another host has taken over the lease.*only one host writes/],
  ['EIO', /could not be refreshed for 5000 ms: EIO; make sure that \/s is writable/],
];

test.each(CAUSES)(
  'a lease that cannot be renewed because of %s reports it, with the remedy',
  async (code, text) => {
    const fs = new CrashFs();
    const lost: FencedError[] = [];
    const lock = await lockOn(fs, lost);
    fs.faults.add({ call: 'renewLease', error: code });
    fs.leases.expire(LEASE);
    const error: unknown = await Promise.resolve(lock.whenHeld()).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'LODESTORE_FENCED', path: LEASE, cause: { code } });
    expect((error as Error).message).toMatch(text);
    expect(lost).toEqual([error]);
    // Permanently, with the first cause.
    await expect(lock.whenHeld()).rejects.toBe(error);
    expect(() => lock.assertHeld()).toThrow(error);
    await lock.release();
  },
);

test('a caller that cannot wait is told about the pause', async () => {
  const fs = new CrashFs();
  const lock = await lockOn(fs, []);
  expect(lock.whenHeld()).toBeUndefined();
  fs.leases.expire(LEASE);
  expect(() => lock.assertHeld()).toThrow('not known yet whether another host has opened it');
  const regained = lock.whenHeld();
  expect(lock.whenHeld()).toBe(regained);
  await regained;
  lock.assertHeld();
  expect(lock.whenHeld()).toBeUndefined();
  await lock.release();
  expect(() => lock.assertHeld()).toThrow('has been released');
});

test('a second pause before the first is decided restarts all checks', async () => {
  const fs = new CrashFs();
  const lock = await lockOn(fs, []);
  let checks = 0;
  lock.checkAfterPause(() => {
    if (++checks === 1) fs.leases.expire(LEASE);
    return waited(undefined);
  });
  fs.leases.expire(LEASE);
  await lock.whenHeld();
  expect(checks).toBe(2);
  lock.assertHeld();
  await lock.release();
});

test('a lock file that a look did not find is lost, even if the next look would find it', async () => {
  const looks: boolean[] = [];
  class Flickering extends CrashFs {
    override async tryLock(path: string): ReturnType<CrashFs['tryLock']> {
      const lock = await super.tryLock(path);
      return lock && Object.assign(lock, { isInPlace: () => looks.shift() ?? true });
    }
  }
  const lost: FencedError[] = [];
  const lock = await lockOn(new Flickering(), lost);
  looks.push(false, true);
  await expect(lock.whenHeld()).rejects.toMatchObject({ path: '/s/lodestore.lock' });
  expect(lost).toHaveLength(1);
  await lock.release();
});

test('a lock file removed while the files are checked after a pause is noticed', async () => {
  const fs = new CrashFs();
  const lost: FencedError[] = [];
  const lock = await lockOn(fs, lost);
  lock.checkAfterPause(() => waited(fs.unlink('/s/lodestore.lock')));
  fs.leases.expire(LEASE);
  await expect(lock.whenHeld()).rejects.toMatchObject({ path: '/s/lodestore.lock' });
  expect(lost).toHaveLength(1);
  await lock.release();
});

test('a lock released while a pause is checked is not held again', async () => {
  const fs = new CrashFs();
  const lost: FencedError[] = [];
  const lock = await lockOn(fs, lost);
  fs.leases.expire(LEASE);
  const regained = lock.whenHeld();
  await lock.release();
  await expect(regained).rejects.toThrow('has been released');
  expect(lost).toEqual([]);
  expect(() => lock.assertHeld()).toThrow('has been released');
});

test('a lock released when the check of a pause ends is not held again', async () => {
  const fs = new CrashFs();
  const lock = await lockOn(fs, []);
  lock.checkAfterPause(() => {
    queueMicrotask(() => void lock.release());
    return waited(undefined);
  });
  fs.leases.expire(LEASE);
  await lock.whenHeld();
  await lock.release();
  expect(() => lock.assertHeld()).toThrow('has been released');
});

test('another host that takes the lease during the settling time is detected', async () => {
  const renewals: string[] = [];
  const fs: CrashFs = new CrashFs({
    scheduler: {
      turn: (label) => {
        if (label.startsWith('renewLease') && renewals.push(label) === 1) {
          fs.leases.takeElsewhere(LEASE);
        }
        return Promise.resolve();
      },
    },
  });
  const lost: FencedError[] = [];
  const lock = await lockOn(fs, lost);
  fs.leases.expire(LEASE);
  await expect(lock.whenHeld()).rejects.toMatchObject({ cause: { code: 'ELOCKED' } });
  expect(lost).toHaveLength(1);
  await lock.release();
});

test.each([undefined, 'other'])(
  'a lease dated in the future is watched if its owner (%s) is not of this machine',
  async (hostName) => {
    const fs = new CrashFs();
    await fs.makeDirectory('/s');
    const self = await simulatedEnvironment(fs).identity();
    const other = { ...self, hostName: 'other', bootId: 'b', machineId: 'm' };
    const watched: [number, number][] = [];
    const options = { staleMs: 5_000, onLost: (): void => undefined };
    if (hostName === undefined) await fs.takeLease(LEASE, options);
    else await acquireDirectoryLock(fs, '/s', other, options);
    const after = fs.kill();
    after.leases.dateAhead(LEASE);
    const lock = await acquireDirectoryLock(after, '/s', self, {
      ...options,
      onWatch: (watchedMs, staleMs) => void watched.push([watchedMs, staleMs]),
    });
    expect(watched).toEqual([[5_000, 5_000]]);
    lock.assertHeld();
    await lock.release();
  },
);

test('a lease of this machine is never watched, whatever its date', async () => {
  const fs = new CrashFs();
  await lockOn(fs, []);
  const after = fs.kill();
  after.leases.dateAhead(LEASE);
  const identity = await simulatedEnvironment(after).identity();
  const lock = await acquireDirectoryLock(after, '/s', identity, {
    staleMs: 5_000,
    onLost: () => undefined,
    onWatch: () => {
      throw new Error('nothing is to be waited for');
    },
  });
  expect(lock.whenHeld()).toBeUndefined();
  await lock.release();
});
