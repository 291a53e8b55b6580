import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  FencedError,
  StoreError,
  StoreFullError,
  StoreLockedError,
} from '../../src/base/errors.ts';
import { acquireDirectoryLock } from '../../src/directory/lock-acquisition.ts';
import { LOOK_VALID_MS } from '../../src/directory/directory-lock.ts';
import type { DirectoryLock } from '../../src/directory/directory-lock.ts';
import { decodeOwnerRecord, encodeOwnerRecord } from '../../src/directory/owner-record.ts';
import type { OwnerRecord } from '../../src/directory/owner-record.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { MARKER_NAME } from '../../src/format/file-name.ts';
import { NodeFileSystem, nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { readProcessIdentity } from '../../src/fs/process-identity.ts';
import { deferred } from '../support/deferred.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const identity = await readProcessIdentity();

/** Longer than any test can wait. */
const HUGE_STALE_MS = 3_600_000;
const SHORT_STALE_MS = 2_000;
const ignore = (): void => undefined;

function acquire(directory: string, fs: FileSystem = nodeFileSystem): Promise<DirectoryLock> {
  return acquireDirectoryLock(fs, directory, identity, {
    staleMs: HUGE_STALE_MS,
    onLost: ignore,
  });
}

async function refusalOf(attempt: Promise<DirectoryLock>): Promise<StoreLockedError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StoreLockedError)) throw new Error('not refused', { cause: error });
  return error;
}

const DEAD: OwnerRecord = {
  ...identity,
  pid: 4_000_000,
  nonce: 'of one who died',
  openedAtMs: 1_700_000_000_000,
  epoch: undefined,
};

const ELSEWHERE: OwnerRecord = {
  ...DEAD,
  bootId: 'another boot',
  machineId: 'another machine',
  hostName: 'elsewhere',
};

/** Leaves the files of an owner that died; the lease was refreshed `ageMs` ago. */
function leaveBehind(directory: string, record: OwnerRecord | string, ageMs: number): void {
  const content = typeof record === 'string' ? record : encodeOwnerRecord(record);
  writeFileSync(join(directory, 'lodestore.lock'), content);
  const lease = join(directory, 'lodestore.lease');
  mkdirSync(lease);
  const time = new Date(Date.now() - ageMs);
  utimesSync(lease, time, time);
}

function recordIn(directory: string): OwnerRecord | undefined {
  return decodeOwnerRecord(readFileSync(join(directory, 'lodestore.lock')));
}

describe('in one process', () => {
  test('a second opener is refused and told the owner', async () => {
    const directory = await temporaryDirectory();
    const lock = await acquire(directory);
    const error = await refusalOf(acquire(directory));
    const { hostName, openedAtMs } = lock.owner;
    expect(error.code).toBe('LODESTORE_LOCKED');
    expect(error.owner).toEqual({ pid: process.pid, hostName, openedAtMs });
    expect(error.message).toContain(`${directory} is open in this process (${process.pid})`);
    expect(error.message).toContain(new Date(openedAtMs).toISOString());
    lock.assertHeld();
    await lock.release();
  });

  test('another path of the directory is the same directory', async () => {
    const directory = await temporaryDirectory();
    const link = join(await temporaryDirectory(), 'link');
    symlinkSync(directory, link);
    const lock = await acquire(link);
    for (const name of [directory, relative(process.cwd(), directory)]) {
      expect((await refusalOf(acquire(name))).owner.pid).toBe(process.pid);
    }
    await lock.release();
    await (await acquire(directory)).release();
  });

  test('a release lets the next opener in at once, 50 times', async () => {
    const directory = await temporaryDirectory();
    for (let round = 0; round < 50; round++) {
      const lock = await acquire(directory);
      await Promise.all([lock.release(), lock.release()]);
      expect(() => lock.assertHeld()).toThrow(FencedError);
    }
    expect(existsSync(join(directory, 'lodestore.lease'))).toBe(false);
  });

  test('the owner record has the given fields', async () => {
    const directory = await temporaryDirectory();
    const options = { onLost: ignore, openedAtMs: 12_345, epoch: 6 };
    const lock = await acquireDirectoryLock(nodeFileSystem, directory, identity, options);
    expect(lock.owner).toMatchObject({ ...identity, openedAtMs: 12_345, epoch: 6 });
    expect(recordIn(directory)).toEqual(lock.owner);
    await lock.release();
    const next = await acquire(directory);
    expect(next.owner.nonce).not.toBe(lock.owner.nonce);
    expect(recordIn(directory)).toEqual(next.owner);
    await next.release();
  });

  test('a half-written owner record refuses without naming an owner', async () => {
    const directory = await temporaryDirectory();
    const lock = await acquire(directory);
    const path = join(directory, 'lodestore.lock');
    writeFileSync(path, readFileSync(path).subarray(0, 40));
    const error = await refusalOf(acquire(directory));
    expect(error.owner).toEqual({ pid: undefined, hostName: undefined, openedAtMs: undefined });
    await lock.release();
  });

  test('a record that is being written is read again', async () => {
    const directory = await temporaryDirectory();
    const lock = await acquire(directory);
    const path = join(directory, 'lodestore.lock');
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, 40));
    class SecondReadIsWhole extends NodeFileSystem {
      #reads = 0;
      override open(
        ...args: Parameters<NodeFileSystem['open']>
      ): ReturnType<NodeFileSystem['open']> {
        if (++this.#reads === 2) writeFileSync(path, whole);
        return super.open(...args);
      }
    }
    const error = await refusalOf(acquire(directory, new SecondReadIsWhole()));
    expect(error.owner.pid).toBe(process.pid);
    await lock.release();
  });
});

describe('a lease left behind', () => {
  test('of a dead process of this machine is taken over at once', async () => {
    const directory = await temporaryDirectory();
    leaveBehind(directory, DEAD, 0);
    const lock = await acquire(directory);
    expect(recordIn(directory)).toEqual(lock.owner);
    await lock.release();
  });

  test('from before a reboot of this machine is taken over at once', async () => {
    const directory = await temporaryDirectory();
    leaveBehind(directory, { ...DEAD, bootId: 'an earlier boot' }, 0);
    const lock = await acquire(directory);
    expect(recordIn(directory)).toEqual(lock.owner);
    await lock.release();
  });

  test('of another host refuses while it is fresh, and stays unchanged', async () => {
    const directory = await temporaryDirectory();
    leaveBehind(directory, ELSEWHERE, HUGE_STALE_MS / 2);
    const error = await refusalOf(acquire(directory));
    expect(error.owner).toMatchObject({ pid: 4_000_000, hostName: 'elsewhere' });
    expect(error.message).toContain('process 4000000 on host elsewhere since 2023-11-14T22:13:20');
    expect(recordIn(directory)).toEqual(ELSEWHERE);
    expect(existsSync(join(directory, 'lodestore.lease'))).toBe(true);
    // The kernel lock was released: the next attempt is refused for the same reason.
    expect((await refusalOf(acquire(directory))).owner.hostName).toBe('elsewhere');
  });

  test('of another host is taken over when stale', async () => {
    const directory = await temporaryDirectory();
    leaveBehind(directory, ELSEWHERE, HUGE_STALE_MS + 60_000);
    const lock = await acquire(directory);
    expect(recordIn(directory)).toEqual(lock.owner);
    await lock.release();
  });

  test.each(['', '{"pid": 12', 'not a record of ours'])(
    'of an unknown owner (%j) refuses while it is fresh',
    async (content) => {
      const directory = await temporaryDirectory();
      leaveBehind(directory, content, 0);
      const error = await refusalOf(acquire(directory));
      expect(error.owner.pid).toBeUndefined();
      // The refused opener wrote no record, which would mark the lease as this machine's.
      expect(recordIn(directory)).toBeUndefined();
      await refusalOf(acquire(directory));
    },
  );

  test('is not broken if another host writes its record meanwhile', async () => {
    const directory = await temporaryDirectory();
    leaveBehind(directory, DEAD, 0);
    class SignedMeanwhile extends NodeFileSystem {
      override takeLease(
        ...args: Parameters<NodeFileSystem['takeLease']>
      ): ReturnType<NodeFileSystem['takeLease']> {
        writeFileSync(join(directory, 'lodestore.lock'), encodeOwnerRecord(ELSEWHERE));
        return super.takeLease(...args);
      }
    }
    const error = await refusalOf(acquire(directory, new SignedMeanwhile()));
    expect(error.owner.hostName).toBe('elsewhere');
    expect(existsSync(join(directory, 'lodestore.lease'))).toBe(true);
  });

  test('of a first owner that died before it confirmed the record is taken over at once', async () => {
    const directory = await temporaryDirectory();
    class DiesWithTheLease extends NodeFileSystem {
      override takeLease(path: string): ReturnType<NodeFileSystem['takeLease']> {
        mkdirSync(path);
        return Promise.reject(Object.assign(new Error('dead'), { code: 'EIO' }));
      }
      override async tryLock(path: string): ReturnType<NodeFileSystem['tryLock']> {
        const lock = await super.tryLock(path);
        let writes = 0;
        return (
          lock && {
            release: () => lock.release(),
            writeClaim: () => Promise.resolve(),
            writeNote: () => Promise.resolve(),
            // A dead process writes nothing more.
            writeRecord: async (record) =>
              void (writes++ === 0 && (await lock.writeRecord(record))),
          }
        );
      }
    }
    await expect(acquire(directory, new DiesWithTheLease())).rejects.toThrow(StoreError);
    expect(existsSync(join(directory, 'lodestore.lease'))).toBe(true);
    await (await acquire(directory)).release();
  });
});

/** As a copy that ends with a rename. */
function replaceByCopy(directory: string): void {
  const path = join(directory, 'lodestore.lock');
  copyFileSync(path, `${path}.copy`);
  renameSync(`${path}.copy`, path);
}

/** An empty lock file takes the place of the file; the lease is gone, too. */
function replaceByEmpty(directory: string): void {
  const path = join(directory, 'lodestore.lock');
  writeFileSync(`${path}.new`, '');
  renameSync(`${path}.new`, path);
  rmdirSync(join(directory, 'lodestore.lease'));
}

function writeLog(directory: string): void {
  writeFileSync(join(directory, 'log_0000000000000001'), '');
}

describe('the wait for an owner that may be unseen', () => {
  /** How often an open waits after `harm` was done to the directory of an owner that died. */
  async function waits(...harm: ((directory: string) => void)[]): Promise<number> {
    const directory = await temporaryDirectory();
    await (await acquire(directory)).release();
    mkdirSync(join(directory, 'lodestore.lease'));
    for (const step of harm) step(directory);
    const before = recordIn(directory);
    let count = 0;
    const wait = (delayMs: number): Promise<void> => {
      count++;
      expect(delayMs).toBeGreaterThanOrEqual(2 * LOOK_VALID_MS);
      // If the process ends here, the next open waits, too.
      expect(recordIn(directory)?.lockFile).toBe(before?.lockFile);
      return Promise.resolve();
    };
    const options = { staleMs: HUGE_STALE_MS, onLost: ignore, wait };
    await (await acquireDirectoryLock(nodeFileSystem, directory, identity, options)).release();
    const path = join(directory, 'lodestore.lock');
    expect(recordIn(directory)?.lockFile).toBe(statSync(path, { bigint: true }).ino.toString());
    return count;
  }

  test('a restart, a new directory and one without files do not wait', async () => {
    expect(await waits()).toBe(0);
    expect(await waits(writeLog)).toBe(0);
    expect(await waits(replaceByEmpty)).toBe(0);
  });

  test('the restart after a crash in the first open does not wait', async () => {
    const directory = await temporaryDirectory();
    class NoLease extends NodeFileSystem {
      override takeLease(): ReturnType<NodeFileSystem['takeLease']> {
        return Promise.reject(Object.assign(new Error('EIO: simulated'), { code: 'EIO' }));
      }
      override async tryLock(path: string): ReturnType<NodeFileSystem['tryLock']> {
        const lock = await super.tryLock(path);
        let writes = 0;
        // A dead process does not take its record back.
        const writeRecord = async (record: Uint8Array): Promise<void> =>
          void (writes++ === 0 && (await lock?.writeRecord(record)));
        return (
          lock && {
            identity: lock.identity,
            writeRecord,
            writeClaim: () => Promise.resolve(),
            writeNote: () => Promise.resolve(),
            release: () => lock.release(),
          }
        );
      }
    }
    await expect(acquire(directory, new NoLease())).rejects.toThrow(StoreError);
    expect(recordIn(directory)).toBeDefined();
    const wait = (): Promise<void> => Promise.reject(new Error('nothing is to be waited for'));
    const options = { staleMs: HUGE_STALE_MS, onLost: ignore, wait };
    await (await acquireDirectoryLock(nodeFileSystem, directory, identity, options)).release();
  });

  test('an open of a replaced lock file waits once', async () => {
    expect(await waits(replaceByCopy)).toBe(1);
    expect(await waits(replaceByCopy, (path) => rmdirSync(join(path, 'lodestore.lease')))).toBe(1);
    expect(await waits(replaceByEmpty, writeLog)).toBe(1);
    const writeMarker = (path: string): void => writeFileSync(join(path, MARKER_NAME), '');
    expect(await waits(replaceByEmpty, writeMarker)).toBe(1);
  });

  test('an owner record that does not name its file is waited for', async () => {
    const sign = (directory: string): void =>
      writeFileSync(join(directory, 'lodestore.lock'), encodeOwnerRecord(DEAD));
    expect(await waits(sign)).toBe(1);
  });
});

describe('a lost lease', () => {
  test.each([
    ['removed', (lease: string) => rmdirSync(lease)],
    ['touched', (lease: string) => utimesSync(lease, 1, 1)],
  ])('%s: fences the owner, who can still release', async (_, harm) => {
    const directory = await temporaryDirectory();
    const loss = deferred<FencedError>();
    const lock = await acquireDirectoryLock(nodeFileSystem, directory, identity, {
      staleMs: SHORT_STALE_MS,
      onLost: loss.resolve,
    });
    lock.assertHeld();
    harm(join(directory, 'lodestore.lease'));
    const error = await loss.promise;
    expect(error).toBeInstanceOf(FencedError);
    expect(error.cause).toBeInstanceOf(Error);
    expect(() => lock.assertHeld()).toThrow(error);
    await lock.release();
    await (await acquire(directory)).release();
  });

  test('is reported once, with its first cause', async () => {
    const directory = await temporaryDirectory();
    const errors: FencedError[] = [];
    const causes = [new Error('first'), new Error('second')];
    class LosesTwice extends NodeFileSystem {
      override async takeLease(
        ...[path, options]: Parameters<NodeFileSystem['takeLease']>
      ): ReturnType<NodeFileSystem['takeLease']> {
        const lease = await super.takeLease(path, options);
        for (const cause of causes) options.onLost(cause);
        return {
          isFresh: () => false,
          renew: () => lease.renew(),
          release: () => lease.release(),
        };
      }
    }
    const options = { onLost: (error: FencedError) => void errors.push(error) };
    const fs = new LosesTwice();
    const lock = await acquireDirectoryLock(fs, directory, identity, options);
    expect(errors.map((error) => error.cause)).toEqual([causes[0]]);
    expect(() => lock.assertHeld()).toThrow(errors[0]);
    await expect(lock.whenHeld()).rejects.toBe(errors[0]);
    await lock.release();
  });
});

/** A file system on which one of the calls fails. */
function failing(code: string, method: 'tryLock' | 'takeLease'): FileSystem {
  const fail = (): Promise<never> =>
    Promise.reject(Object.assign(new Error(code), { code, path: '/the/path' }));
  class Failing extends NodeFileSystem {}
  Object.defineProperty(Failing.prototype, method, { value: fail });
  return new Failing();
}

describe('a directory that cannot be locked', () => {
  test.each([
    ['EACCES', 'tryLock'],
    ['EROFS', 'tryLock'],
    ['ENOLCK', 'tryLock'],
    ['EACCES', 'takeLease'],
    ['EIO', 'takeLease'],
  ] as const)('%s of %s is passed up, with its path', async (code, method) => {
    const directory = await temporaryDirectory();
    await expect(acquire(directory, failing(code, method))).rejects.toMatchObject({
      code: 'LODESTORE_IO',
      path: '/the/path',
      cause: { code },
    });
    await (await acquire(directory)).release();
  });

  test('a lack of space is reported as such', async () => {
    const directory = await temporaryDirectory();
    const attempt = acquire(directory, failing('ENOSPC', 'takeLease'));
    await expect(attempt).rejects.toThrow(StoreFullError);
    await (await acquire(directory)).release();
  });

  test('a missing directory is an error with its path', async () => {
    const directory = join(await temporaryDirectory(), 'absent');
    await expect(acquire(directory)).rejects.toMatchObject({
      code: 'LODESTORE_IO',
      path: join(directory, 'lodestore.lock'),
      cause: { code: 'ENOENT' },
    });
  });

  test('an object that cannot be a lease is left alone', async () => {
    const directory = await temporaryDirectory();
    leaveBehind(directory, DEAD, 0);
    mkdirSync(join(directory, 'lodestore.lease', 'somebody keeps things here'));
    await expect(acquire(directory)).rejects.toMatchObject({ cause: { code: 'ENOTEMPTY' } });
  });
});

test('a lease that cannot be released still releases the kernel lock', async () => {
  const directory = await temporaryDirectory();
  class Unreleasable extends NodeFileSystem {
    override async takeLease(
      ...args: Parameters<NodeFileSystem['takeLease']>
    ): ReturnType<NodeFileSystem['takeLease']> {
      const lease = await super.takeLease(...args);
      const release = async (): Promise<void> => {
        await lease.release();
        throw Object.assign(new Error('EIO'), { code: 'EIO' });
      };
      return { isFresh: () => lease.isFresh(), renew: () => lease.renew(), release };
    }
  }
  const lock = await acquire(directory, new Unreleasable());
  await expect(lock.release()).rejects.toMatchObject({
    code: 'LODESTORE_IO',
    cause: { code: 'EIO' },
  });
  await (await acquire(directory)).release();
});
