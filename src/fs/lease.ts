import { randomUUID } from 'node:crypto';
import { rmdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { assert } from '../base/assert.ts';
import { systemCode } from '../base/errors.ts';
import { requirePackage } from '../base/require.ts';
import type { Lease, LeaseOptions } from './file-system.ts';
import { systemLeaseClock } from './lease-clock.ts';
import type { LeaseClock } from './lease-clock.ts';
import { LeaseDirectory } from './lease-directory.ts';

/** `proper-lockfile` treats a shorter limit as this one. */
export const MIN_STALE_MS = 2_000;

/** An event loop that stalls for less than the limit less one such part never loses the lease. */
const REFRESHES_PER_STALE_MS = 6;

/**
 * Two hosts that find the same stale lease may both remove it, the slower one that of the faster.
 * They do so within moments of each other, so whoever still has it after this long keeps it.
 */
const TAKE_OVER_SETTLE_MS = 1_000;

let isSignalIgnored = false;

/**
 * A write past the limit on the size of files is to fail with EFBIG: Node ignores the signal that goes with
 * it. The exit hook of `proper-lockfile` would end the process instead, unless somebody else listens.
 */
function ignoreFileSizeSignal(): void {
  if (isSignalIgnored) return;
  isSignalIgnored = true;
  process.on('SIGXFSZ', () => undefined);
}

/** Not loaded before it is needed: the library listens to signals from then on, to remove leases at exit. */
export function loadLeaseLibrary(): typeof import('proper-lockfile') {
  ignoreFileSizeSignal();
  return requirePackage('proper-lockfile') as typeof import('proper-lockfile');
}

/**
 * Makes the lease directory at `path` and keeps it fresh from a timer that does not keep the process
 * alive. The clocks of hosts that share it must agree to much less than `staleMs` (at least 2,000).
 *
 * Rejects `ELOCKED` while somebody keeps the lease fresh; a stale one is taken over. Other errors
 * are the system's.
 */
export async function takeLease(
  path: string,
  options: LeaseOptions,
  clock: LeaseClock = systemLeaseClock,
): Promise<Lease> {
  assert(options.staleMs >= MIN_STALE_MS, `a lease stays fresh for ${MIN_STALE_MS} ms or more`);
  const absolutePath = resolve(path);
  const { lock } = loadLeaseLibrary();
  const directory = new LeaseDirectory(options.staleMs, clock);
  const lease = new DirectoryLease(directory, options.onLost);
  // The library's register is by its first argument: one key per lease keeps a lost one from
  // releasing its successor at the same path.
  const release = await lock(`${absolutePath}#${randomUUID()}`, {
    lockfilePath: absolutePath,
    realpath: false,
    retries: 0,
    stale: options.staleMs,
    update: options.staleMs / REFRESHES_PER_STALE_MS,
    fs: directory.calls,
    onCompromised: (cause) => lease.lose(cause),
  });
  lease.hold(release);
  if (directory.tookOver) await settle(lease, directory, absolutePath);
  return lease;
}

/** Removes the lease of a holder known to be dead. Resolves also when there is none. */
export async function breakLease(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}

async function settle(
  lease: DirectoryLease,
  directory: LeaseDirectory,
  path: string,
): Promise<void> {
  await delay(TAKE_OVER_SETTLE_MS);
  if (await directory.isStillOurs(path)) return;
  await lease.release();
  throw Object.assign(new Error('another host took over the stale lease'), { code: 'ELOCKED' });
}

type LeaseState = 'taking' | 'held' | 'lost' | 'released';

class DirectoryLease implements Lease {
  readonly #directory: LeaseDirectory;
  readonly #onLost: (cause: Error) => void;
  #state: LeaseState = 'taking';
  #remove: (() => Promise<void>) | undefined = undefined;
  #released: Promise<void> | undefined = undefined;

  constructor(directory: LeaseDirectory, onLost: (cause: Error) => void) {
    this.#directory = directory;
    this.#onLost = onLost;
  }

  hold(remove: () => Promise<void>): void {
    assert(this.#state === 'taking', 'a lease is taken once');
    this.#state = 'held';
    this.#remove = remove;
    this.#directory.hold();
  }

  isFresh(): boolean {
    return this.#state === 'held' && this.#directory.isFresh();
  }

  lose(cause: Error): void {
    if (this.#state !== 'held') return;
    this.#state = 'lost';
    try {
      this.#onLost(cause);
    } catch {
      // Called from the library's timer, where an exception would end the process.
    }
  }

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    if (this.#state !== 'held') return;
    this.#state = 'released';
    await this.#directory.close();
    try {
      await this.#remove?.();
    } catch (error) {
      // The library found out, while the last refresh was awaited, that the lease was lost.
      if (systemCode(error) !== 'ERELEASED') throw error;
    }
  }
}
