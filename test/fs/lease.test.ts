import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { systemCode } from '../../src/base/errors.ts';
import type { Lease } from '../../src/fs/file-system.ts';
import type { LeaseMoment } from '../../src/fs/lease-clock.ts';
import { elapsedMs, systemLeaseClock } from '../../src/fs/lease-clock.ts';
import { breakLease, takeLease } from '../../src/fs/lease.ts';
import { deferred } from '../support/deferred.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

const HOUR_MS = 3_600_000;
const ignore = (): void => undefined;

/** The shortest limit; the lease is then refreshed each second. */
const SHORT_MS = 2_000;

async function leasePath(): Promise<string> {
  return join(await temporaryDirectory(), 'lease');
}

/** A lease of another host, refreshed `ageMs` ago. */
function makeForeignLease(path: string, ageMs: number): void {
  mkdirSync(path);
  const time = new Date(Date.now() - ageMs);
  utimesSync(path, time, time);
}

function take(path: string, staleMs = HOUR_MS): Promise<Lease> {
  return takeLease(path, { staleMs, onLost: ignore });
}

/** Takes a lease with the shortest limit. Also returns a promise of its loss. */
async function takeShort(path: string): Promise<{ lease: Lease; lost: Promise<Error> }> {
  const loss = deferred<Error>();
  const lease = await takeLease(path, { staleMs: SHORT_MS, onLost: loss.resolve });
  return { lease, lost: loss.promise };
}

const isElocked = (error: unknown): boolean => systemCode(error) === 'ELOCKED';

test('one holder has a lease, which is free again after its release', async () => {
  const path = await leasePath();
  for (let round = 0; round < 50; round++) {
    const lease = await take(path);
    expect(lease.isFresh()).toBe(true);
    await expect(take(path)).rejects.toSatisfy(isElocked);
    await lease.release();
    await lease.release();
    expect(lease.isFresh()).toBe(false);
  }
  expect(existsSync(path)).toBe(false);
});

test('a fresh lease of another host refuses, and a stale one is taken over', async () => {
  const path = await leasePath();
  makeForeignLease(path, SHORT_MS / 2);
  await expect(take(path)).rejects.toSatisfy(isElocked);
  utimesSync(path, 1, 1);
  const lease = await take(path);
  expect(lease.isFresh()).toBe(true);
  await lease.release();
  expect(existsSync(path)).toBe(false);
});

test('of two that take over a stale lease, the one whose directory was removed gives up', async () => {
  const path = await leasePath();
  makeForeignLease(path, 2 * HOUR_MS);
  const outcome = take(path).then(() => undefined, systemCode);
  await vi.waitUntil(() => {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats !== undefined && stats.mtimeMs > Date.now() - HOUR_MS;
  }, 10_000);
  rmdirSync(path);
  makeForeignLease(path, 0);
  expect(await outcome).toBe('ELOCKED');
  expect(existsSync(path)).toBe(true);
});

test('a lease removed by somebody else is lost', async () => {
  const path = await leasePath();
  const { lease, lost } = await takeShort(path);
  rmdirSync(path);
  expect(await lost).toBeInstanceOf(Error);
  expect(lease.isFresh()).toBe(false);
  await lease.release();
});

test('a lease touched by somebody else is lost and left to them', async () => {
  const path = await leasePath();
  const { lease, lost } = await takeShort(path);
  const time = new Date(Date.now() + 1);
  utimesSync(path, time, time);
  expect(await lost).toBeInstanceOf(Error);
  expect(lease.isFresh()).toBe(false);
  await lease.release();
  expect(existsSync(path)).toBe(true);
});

test('a release that does not know of a takeover leaves the lease to its new holder', async () => {
  const path = await leasePath();
  const lease = await take(path);
  await breakLease(path);
  const next = await take(path);
  await lease.release();
  expect(existsSync(path)).toBe(true);
  await expect(take(path)).rejects.toSatisfy(isElocked);
  await next.release();
  expect(existsSync(path)).toBe(false);
});

test('an exception of onLost is ignored', async () => {
  const path = await leasePath();
  const called = deferred<void>();
  let calls = 0;
  const lease = await takeLease(path, {
    staleMs: SHORT_MS,
    onLost: () => {
      calls++;
      called.resolve(undefined);
      throw new Error('must not reach the timer');
    },
  });
  rmdirSync(path);
  await called.promise;
  await lease.release();
  expect(calls).toBe(1);
});

test('a lease is refreshed, and counts from the start of the refresh', async () => {
  const path = await leasePath();
  let now: LeaseMoment = { monotonicMs: 0, uptimeMs: 0 };
  const lease = await takeLease(path, { staleMs: SHORT_MS, onLost: ignore }, () => now);
  now = { monotonicMs: SHORT_MS - 1, uptimeMs: 0 };
  expect(lease.isFresh()).toBe(true);
  // A refresh visible on disk may not have been reported yet; the preceding one has.
  for (let refreshes = 0; refreshes < 2; refreshes++) {
    const before = statSync(path).mtimeMs;
    await vi.waitUntil(() => statSync(path).mtimeMs !== before, 10_000);
  }
  now = { monotonicMs: 2 * SHORT_MS - 2, uptimeMs: 0 };
  expect(lease.isFresh()).toBe(true);
  now = { monotonicMs: 3 * SHORT_MS, uptimeMs: 0 };
  expect(lease.isFresh()).toBe(false);
  await lease.release();
});

test.each([
  ['the monotonic clock', { monotonicMs: SHORT_MS, uptimeMs: 0 }],
  ['the uptime, which continues while the machine sleeps', { monotonicMs: 0, uptimeMs: SHORT_MS }],
])('a lease that is stale by %s is not refreshed until it is renewed', async (_, later) => {
  const path = await leasePath();
  let now: LeaseMoment = { monotonicMs: 0, uptimeMs: 0 };
  const overdue = deferred<void>();
  const options = {
    staleMs: SHORT_MS,
    onLost: ignore,
    onOverdue: () => overdue.resolve(undefined),
  };
  const lease = await takeLease(path, options, () => now);
  const { mtimeMs } = statSync(path);
  now = later;
  expect(lease.isFresh()).toBe(false);
  await overdue.promise;
  expect(statSync(path).mtimeMs).toBe(mtimeMs);
  await lease.renew();
  expect(lease.isFresh()).toBe(true);
  expect(statSync(path).mtimeMs).not.toBe(mtimeMs);
  await lease.release();
  expect(existsSync(path)).toBe(false);
});

test('a lease released during its renewal leaves the next one alone', async () => {
  const path = await leasePath();
  let now: LeaseMoment = { monotonicMs: 0, uptimeMs: 0 };
  const lease = await takeLease(path, { staleMs: SHORT_MS, onLost: ignore }, () => now);
  now = { monotonicMs: SHORT_MS, uptimeMs: 0 };
  const renewed = lease.renew().then(() => undefined, systemCode);
  await lease.release();
  const next = await take(path);
  await renewed;
  const { mtimeMs } = statSync(path);
  expect([lease.isFresh(), next.isFresh()]).toEqual([false, true]);
  expect(statSync(path).mtimeMs).toBe(mtimeMs);
  await next.release();
});

describe('a lease dated in the future', () => {
  const AHEAD_MS = -HOUR_MS;

  test('refuses at once without a watch', async () => {
    const path = await leasePath();
    makeForeignLease(path, AHEAD_MS);
    await expect(take(path, SHORT_MS)).rejects.toSatisfy(isElocked);
  });

  test('is taken over when it did not change for the stale limit', async () => {
    const path = await leasePath();
    makeForeignLease(path, AHEAD_MS);
    const watched: number[] = [];
    const watch = { onProgress: (watchedMs: number) => void watched.push(watchedMs) };
    const lease = await takeLease(path, { staleMs: SHORT_MS, onLost: ignore, watch });
    expect(lease.isFresh()).toBe(true);
    expect(watched[0]).toBeLessThan(SHORT_MS);
    expect(watched.at(-1)).toBe(SHORT_MS);
    expect(statSync(path).mtimeMs).toBeLessThan(Date.now() + HOUR_MS / 2);
    await lease.release();
  });

  test('refuses when it changes', async () => {
    const path = await leasePath();
    makeForeignLease(path, AHEAD_MS);
    const onProgress = (): void => utimesSync(path, 9_999_999_999, 9_999_999_999);
    const taken = takeLease(path, { staleMs: SHORT_MS, onLost: ignore, watch: { onProgress } });
    await expect(taken).rejects.toSatisfy(isElocked);
    expect(existsSync(path)).toBe(true);
  });

  test('is watched until the signal aborts', async () => {
    const path = await leasePath();
    makeForeignLease(path, AHEAD_MS);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort();
    const watch = { signal: controller.signal, onProgress };
    const taken = takeLease(path, { staleMs: HOUR_MS, onLost: ignore, watch });
    await expect(taken).rejects.toMatchObject({ name: 'AbortError' });
    expect(existsSync(path)).toBe(true);
  });
});

test('breaking a missing lease succeeds, and one that cannot be broken is an error', async () => {
  const path = await leasePath();
  await breakLease(path);
  mkdirSync(join(path, 'not ours'), { recursive: true });
  await expect(breakLease(path)).rejects.toSatisfy((error) => systemCode(error) === 'ENOTEMPTY');
});

test('a lease whose inode has changed is still ours', async () => {
  const path = await leasePath();
  const { lease, lost } = await takeShort(path);
  const { ino, mtime } = statSync(path);
  // As an overlay file system does when its caches are dropped.
  renameSync(path, `${path}.old`);
  mkdirSync(path);
  const { stdout } = spawnSync('touch', ['-r', `${path}.old`, path]);
  expect([String(stdout), statSync(path).ino === ino]).toEqual(['', false]);
  const before = mtime.getTime();
  const changed = vi.waitUntil(() => statSync(path).mtimeMs !== before, 10_000);
  expect(await Promise.race([lost, changed])).toBe(true);
  expect(readdirSync(path)).toEqual([]);
  await lease.release();
  expect(existsSync(path)).toBe(false);
});

test('a lease that cannot be made rejects with the system error', async () => {
  const path = join(await leasePath(), 'absent');
  await expect(take(path)).rejects.toSatisfy((error) => systemCode(error) === 'ENOENT');
});

const LEASE_MODULE = programPath('lease');

/** Runs `source` with `takeLease` and `path` until the process exits by itself. */
function runProgram(source: string, path: string): number | null {
  const program = `
    const { takeLease } = await import(${JSON.stringify(LEASE_MODULE)});
    const { mkdirSync, rmdirSync } = await import('node:fs');
    const path = ${JSON.stringify(path)};
    const lease = await takeLease(path, { staleMs: ${HOUR_MS}, onLost() {} });
    ${source}`;
  const flags = ['--input-type=module', '--eval', program];
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  return spawnSync(process.execPath, flags, { cwd, stdio: 'inherit' }).status;
}

test('a lease does not keep a process alive, and is removed at its exit', async () => {
  const path = await leasePath();
  expect(runProgram('', path)).toBe(0);
  expect(existsSync(path)).toBe(false);
});

test('a process that exits leaves a lease alone that is no longer its own', async () => {
  const path = await leasePath();
  expect(runProgram('rmdirSync(path); mkdirSync(path);', path)).toBe(0);
  expect(readdirSync(join(path, '..'))).toEqual(['lease']);
});

test('elapsed time is the larger one of both clocks', () => {
  const since = { monotonicMs: 10, uptimeMs: 1_000 };
  expect(elapsedMs(since, { monotonicMs: 15, uptimeMs: 1_000 })).toBe(5);
  expect(elapsedMs(since, { monotonicMs: 15, uptimeMs: 9_000 })).toBe(8_000);
  const moment = systemLeaseClock();
  expect(elapsedMs(moment, systemLeaseClock())).toBeGreaterThanOrEqual(0);
});
