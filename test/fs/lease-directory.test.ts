import { pbkdf2 } from 'node:crypto';
import { existsSync, rmdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import type { LeaseMoment } from '../../src/fs/lease-clock.ts';
import { LeaseDirectory } from '../../src/fs/lease-directory.ts';
import type { LeaseDirectoryOptions } from '../../src/fs/lease-directory.ts';
import { LeaseTimes } from '../../src/fs/lease-time.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const STALE_MS = 2_000;
const FAR: LeaseMoment = { monotonicMs: STALE_MS, uptimeMs: 0 };

/** Awaits a call that answers through a callback. */
function answer(call: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? resolve() : reject(error)));
  });
}

/** A lease taken in the library's order, and a clock that the test sets. */
class Rig {
  now: LeaseMoment = { monotonicMs: 0, uptimeMs: 0 };
  readonly lost: Error[] = [];
  overdue = 0;
  settling: () => void = () => undefined;
  readonly path: string;
  readonly directory: LeaseDirectory;

  private constructor(path: string) {
    this.path = path;
    const options: LeaseDirectoryOptions = {
      path,
      staleMs: STALE_MS,
      clock: () => this.now,
      onLost: (cause) => void this.lost.push(cause),
      onOverdue: () => void this.overdue++,
      settle: () => Promise.resolve(this.settling()),
      settleNow: () => this.settling(),
      refreshEveryMs: STALE_MS / 6,
    };
    this.directory = new LeaseDirectory(options);
  }

  static async make(): Promise<Rig> {
    const rig = new Rig(join(await temporaryDirectory(), 'lease'));
    const { calls } = rig.directory;
    await answer((done) => calls.mkdir(rig.path, done));
    await answer((done) => calls.utimes(rig.path, new Date(), new Date(), done));
    await answer((done) => calls.stat(rig.path, done));
    rig.directory.hold();
    return rig;
  }

  /** A refresh as the library requests it. */
  async refresh(): Promise<void> {
    const { calls } = this.directory;
    await answer((done) => calls.stat(this.path, done));
    await answer((done) => calls.utimes(this.path, new Date(), new Date(), done));
  }

  get timeMs(): number {
    return statSync(this.path).mtimeMs;
  }

  touch(): void {
    utimesSync(this.path, Date.now() / 1000 + 1, Date.now() / 1000 + 1);
  }
}

test('close waits for the refresh in flight and does not report its end to the library', async () => {
  const { directory, path } = await Rig.make();
  const before = statSync(path).mtimeMs;
  const done = vi.fn<() => void>();
  // All libuv threads are busy, so that the refresh is still pending at the close.
  const busy = Array.from({ length: 8 }, () => promisify(pbkdf2)('', '', 20_000, 64, 'sha512'));
  directory.calls.utimes(path, new Date(), new Date(), done);
  await directory.close();
  expect(statSync(path).mtimeMs).not.toBe(before);
  await Promise.all(busy);
  expect(done).not.toHaveBeenCalled();
});

test('a refresh that ends after the lease became stale does not count, but its time is ours', async () => {
  const rig = await Rig.make();
  const before = rig.timeMs;
  const { calls } = rig.directory;
  const refreshed = answer((done) => calls.utimes(rig.path, new Date(), new Date(), done));
  rig.now = FAR;
  await refreshed;
  expect(rig.directory.isFresh()).toBe(false);
  expect(rig.timeMs).not.toBe(before);
  expect(rig.overdue).toBe(1);
  await rig.directory.renew();
  expect(rig.directory.isFresh()).toBe(true);
  expect(rig.lost).toEqual([]);
});

test('a refresh counts from its start', async () => {
  const rig = await Rig.make();
  rig.now = { monotonicMs: 100, uptimeMs: 0 };
  await rig.refresh();
  rig.now = { monotonicMs: STALE_MS + 99, uptimeMs: 0 };
  expect(rig.directory.isFresh()).toBe(true);
  rig.now = { monotonicMs: STALE_MS + 100, uptimeMs: 0 };
  expect(rig.directory.isFresh()).toBe(false);
});

test('a stale lease is not refreshed, only renewed', async () => {
  const rig = await Rig.make();
  const before = rig.timeMs;
  rig.now = FAR;
  await rig.refresh();
  expect(rig.overdue).toBe(1);
  expect(rig.timeMs).toBe(before);
  await rig.directory.renew();
  expect(rig.timeMs).not.toBe(before);
  expect(rig.directory.isFresh()).toBe(true);
});

test.each([
  ['before', true],
  ['during the settling time', false],
])('a lease that somebody takes %s is not renewed', async (_, isBefore) => {
  const rig = await Rig.make();
  rig.now = FAR;
  if (isBefore) rig.touch();
  else rig.settling = () => rig.touch();
  await expect(rig.directory.renew()).rejects.toMatchObject({ code: 'ELOCKED' });
  expect(rig.directory.isFresh()).toBe(false);
});

test('a removed lease is not renewed', async () => {
  const rig = await Rig.make();
  rig.now = FAR;
  rmdirSync(rig.path);
  await expect(rig.directory.renew()).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a second pause during the renewal restarts it', async () => {
  const rig = await Rig.make();
  rig.now = FAR;
  let settled = 0;
  rig.settling = () => {
    if (++settled === 1) rig.now = { monotonicMs: 3 * STALE_MS, uptimeMs: 0 };
  };
  await rig.directory.renew();
  expect(settled).toBe(2);
  expect(rig.directory.isFresh()).toBe(true);
});

test('at the exit of the process, our lease is removed and then not fresh', async () => {
  const [own, others] = [await Rig.make(), await Rig.make()];
  others.touch();
  for (const { directory } of [own, others]) directory.removeNow();
  expect(existsSync(own.path)).toBe(false);
  expect(existsSync(others.path)).toBe(true);
  expect(own.directory.isFresh()).toBe(false);
});

test.each([1, 1_000, 10_000, 1_000_000, 2_000_000])(
  'times are distinguished on file systems with a resolution of %i us',
  (stepUs) => {
    const kept = (timeUs: number): number => Math.floor(timeUs / stepUs) * stepUs;
    const nowMs = 1_700_000_000_123;
    const times = new LeaseTimes();
    times.learn(kept(times.next(nowMs)));
    for (let i = 1; i <= 20; i++) {
      const atMs = nowMs + i * 5_000;
      const first = times.next(atMs);
      times.confirm(first);
      // Later by more than any step, so that even the coarsest resolution distinguishes them.
      const second = times.next(atMs + 5_000);
      expect(second).toBeGreaterThanOrEqual((atMs + 5_000) * 1_000);
      // Until the call has ended, the directory may have either time.
      expect([times.has(kept(first)), times.has(kept(second))]).toEqual([true, true]);
      times.confirm(second);
      expect([times.has(kept(first)), times.has(kept(second))]).toEqual([false, true]);
    }
  },
);

test('of two overlapping times either may be there, until one is set alone', () => {
  const times = new LeaseTimes();
  const nowMs = 1_700_000_000_000;
  const made = times.next(nowMs);
  times.confirm(made);
  times.learn(made);
  const slow = times.next(nowMs + 5_000);
  const fast = times.next(nowMs + 10_000);
  times.confirm(fast);
  expect([made, slow, fast].map((time) => times.has(time))).toEqual([false, true, true]);
  times.confirm(slow);
  expect([slow, fast].map((time) => times.has(time))).toEqual([true, true]);
  const alone = times.next(nowMs + 15_000);
  times.confirm(alone);
  expect([slow, fast, alone].map((time) => times.has(time))).toEqual([false, false, true]);
});

describe('a blocking refresh', () => {
  const DUE: LeaseMoment = { monotonicMs: STALE_MS / 6, uptimeMs: 0 };

  test('is made when due and counts from its start', async () => {
    const rig = await Rig.make();
    const before = rig.timeMs;
    rig.directory.refreshNow();
    expect(rig.timeMs).toBe(before);
    rig.now = DUE;
    rig.directory.refreshNow();
    expect(rig.timeMs).not.toBe(before);
    rig.now = { monotonicMs: DUE.monotonicMs + STALE_MS - 1, uptimeMs: 0 };
    expect(rig.directory.isFresh()).toBe(true);
    await rig.refresh();
    expect([rig.lost, rig.overdue]).toEqual([[], 0]);
  });

  test('detects the loss of the lease', async () => {
    const rig = await Rig.make();
    rig.touch();
    rig.now = DUE;
    rig.directory.refreshNow();
    expect(rig.lost).toHaveLength(1);
    expect(rig.directory.isFresh()).toBe(false);
  });

  test('leaves a stale lease to a blocking renewal', async () => {
    const rig = await Rig.make();
    const before = rig.timeMs;
    rig.now = FAR;
    rig.directory.refreshNow();
    expect(rig.timeMs).toBe(before);
    rig.directory.renewNow();
    expect(rig.directory.isFresh()).toBe(true);
    rig.now = { monotonicMs: 2 * STALE_MS, uptimeMs: 0 };
    rig.touch();
    expect(() => rig.directory.renewNow()).toThrow(expect.objectContaining({ code: 'ELOCKED' }));
  });

  test('does not disturb a refresh of the timer that is in flight', async () => {
    const rig = await Rig.make();
    rig.now = DUE;
    const { calls } = rig.directory;
    const refreshed = answer((done) => calls.utimes(rig.path, new Date(), new Date(), done));
    // The timer's check has read the directory by now, but is told later.
    const endMs = performance.now() + 50;
    while (performance.now() < endMs);
    rig.directory.refreshNow();
    await refreshed;
    expect([rig.lost, rig.overdue]).toEqual([[], 0]);
    await rig.refresh();
    expect(rig.lost).toEqual([]);
  });
});

test('a file system that keeps no times cannot have a lease', () => {
  const times = new LeaseTimes();
  times.next(1_700_000_000_123);
  expect(() => times.learn(0)).toThrow('does not keep the modification time');
});
