import { pbkdf2 } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import type { LeaseMoment } from '../../src/fs/lease-clock.ts';
import { LeaseDirectory } from '../../src/fs/lease-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const STALE_MS = 2_000;
const START: LeaseMoment = { monotonicMs: 0, uptimeMs: 0 };

/** Awaits a call that answers by callback. */
function answer(call: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? resolve() : reject(error)));
  });
}

/** Makes the directory and learns how it looks, in the library's order. */
async function hold(directory: LeaseDirectory, path: string): Promise<void> {
  const now = new Date(Math.ceil(Date.now() / 1000) * 1000 + 5);
  await answer((done) => directory.calls.mkdir(path, done));
  await answer((done) => directory.calls.utimes(path, now, now, done));
  await answer((done) => directory.calls.stat(path, done));
  directory.hold();
}

test('closing awaits the refresh in flight, whose end the library does not hear of', async () => {
  const path = join(await temporaryDirectory(), 'lease');
  const directory = new LeaseDirectory(STALE_MS, () => START);
  await hold(directory, path);
  const time = new Date(1_000);
  const done = vi.fn<() => void>();
  // Keeps all of libuv's threads busy, so that the refresh is still to be done when it is closed.
  const busy = Array.from({ length: 8 }, () => promisify(pbkdf2)('', '', 20_000, 64, 'sha512'));
  directory.calls.utimes(path, time, time, done);
  await directory.close();
  expect(statSync(path).mtimeMs).toBe(1_000);
  await Promise.all(busy);
  expect(done).not.toHaveBeenCalled();
});

test('a refresh that ends after the lease went stale is none', async () => {
  const path = join(await temporaryDirectory(), 'lease');
  let now = START;
  const directory = new LeaseDirectory(STALE_MS, () => now);
  await hold(directory, path);
  await answer((done) => directory.calls.stat(path, done));
  const refreshed = answer((done) => directory.calls.utimes(path, new Date(), new Date(), done));
  now = { monotonicMs: STALE_MS, uptimeMs: 0 };
  await expect(refreshed).rejects.toMatchObject({ code: 'ENOENT' });
  expect(directory.isFresh()).toBe(false);
});

test('a refresh counts from the look at the directory that it began with', async () => {
  const path = join(await temporaryDirectory(), 'lease');
  let now = START;
  const directory = new LeaseDirectory(STALE_MS, () => now);
  await hold(directory, path);
  now = { monotonicMs: 100, uptimeMs: 0 };
  await answer((done) => directory.calls.stat(path, done));
  now = { monotonicMs: 500, uptimeMs: 0 };
  await answer((done) => directory.calls.utimes(path, new Date(), new Date(), done));
  now = { monotonicMs: STALE_MS + 99, uptimeMs: 0 };
  expect(directory.isFresh()).toBe(true);
  now = { monotonicMs: STALE_MS + 100, uptimeMs: 0 };
  expect(directory.isFresh()).toBe(false);
});
