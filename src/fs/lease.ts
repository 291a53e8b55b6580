import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { wallMs } from '../base/timers.ts';
import { assert } from '../base/assert.ts';
import { systemCode } from '../base/errors.ts';
import { MAX_TIMER_MS } from '../base/limits.ts';
import { atExit } from './exit-hooks.ts';
import type { BlockingLease, Lease, LeaseOptions, LeaseWatch } from './file-system.ts';
import { systemLeaseClock } from './lease-clock.ts';
import type { LeaseClock } from './lease-clock.ts';
import { LeaseDirectory, leaseTime, removeLease } from './lease-directory.ts';
import { loadLeaseLibrary } from './lease-library.ts';
import { MAX_AHEAD_MS } from './lease-time.ts';

/** `proper-lockfile` raises a lower limit to this one. */
export const MIN_STALE_MS = 2_000;

/**
 * Refreshes per stale limit. An event loop that stalls for less than the limit minus one interval
 * never loses the lease.
 */
const REFRESHES_PER_STALE_MS = 6;

/**
 * Two hosts that find the same stale lease may both remove it, and the slower one may remove the
 * lease of the faster. This happens within moments, so a host that still has the lease after this
 * time keeps it.
 */
const TAKE_OVER_SETTLE_MS = 1_000;

/** The interval at which a watched lease is read. */
const WATCH_STEP_MS = 1_000;

/**
 * Makes the lease directory at `path` and keeps it fresh with an unreferenced timer. The clocks of
 * hosts that share it must agree to much less than `staleMs` (at least 2,000).
 *
 * Rejects `ELOCKED` while another holder keeps the lease fresh. A stale lease is taken over. With
 * `options.watch`, a lease dated in the future is watched, and taken over if it is not refreshed.
 * Other errors are the system's.
 */
export async function takeLease(
  path: string,
  options: LeaseOptions,
  clock: LeaseClock = systemLeaseClock,
): Promise<Lease> {
  const { staleMs, watch } = options;
  assert(staleMs >= MIN_STALE_MS, `a lease stays fresh for ${MIN_STALE_MS} ms or more`);
  assert(staleMs <= MAX_TIMER_MS, `a lease stays fresh for ${MAX_TIMER_MS} ms or less`);
  const absolutePath = resolve(path);
  const lease = new DirectoryLease(absolutePath, options, clock);
  try {
    await lease.take();
  } catch (error) {
    const aheadMs = lease.seenTimeMs - wallMs();
    const isWatched = watch !== undefined && aheadMs > MAX_AHEAD_MS;
    if (!isWatched || systemCode(error) !== 'ELOCKED') throw error;
    await watchLease(absolutePath, staleMs, watch, clock);
    return takeOver(absolutePath, options, clock);
  }
  if (lease.tookOver) await lease.settle();
  return lease;
}

/** Removes the lease of a holder that is known to be dead. Also resolves if there is none. */
export function breakLease(path: string): Promise<void> {
  return removeLease(path);
}

/**
 * Resolves when the lease has not been refreshed for `staleMs` of the monotonic clock, or is gone.
 * @throws `ELOCKED` if it is refreshed; the signal's reason
 */
async function watchLease(
  path: string,
  staleMs: number,
  { signal, onProgress }: LeaseWatch,
  clock: LeaseClock,
): Promise<void> {
  const timeUs = await leaseTime(path);
  const startMs = clock().monotonicMs;
  for (;;) {
    const watchedMs = Math.min(clock().monotonicMs - startMs, staleMs);
    onProgress?.(watchedMs);
    const nowUs = await leaseTime(path);
    if (nowUs === undefined) return;
    if (nowUs !== timeUs) {
      throw Object.assign(new Error('the lease is being refreshed'), { code: 'ELOCKED', path });
    }
    if (watchedMs >= staleMs) return;
    await delay(Math.min(WATCH_STEP_MS, staleMs - watchedMs), undefined, { signal });
  }
}

async function takeOver(path: string, options: LeaseOptions, clock: LeaseClock): Promise<Lease> {
  await removeLease(path);
  const lease = new DirectoryLease(path, options, clock);
  await lease.take();
  await lease.settle();
  return lease;
}

/** Blocks the thread. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

type LeaseState = 'taking' | 'held' | 'lost' | 'released';

class DirectoryLease implements Lease {
  readonly #path: string;
  readonly #options: LeaseOptions;
  readonly #directory: LeaseDirectory;
  #state: LeaseState = 'taking';
  #remove: (() => Promise<void>) | undefined = undefined;
  #forgetExit: (() => void) | undefined = undefined;
  #released: Promise<void> | undefined = undefined;

  constructor(path: string, options: LeaseOptions, clock: LeaseClock) {
    this.#path = path;
    this.#options = options;
    this.#directory = new LeaseDirectory({
      path,
      staleMs: options.staleMs,
      clock,
      onLost: (cause) => this.#lose(cause),
      onOverdue: () => this.#tellOverdue(),
      settle: () => delay(TAKE_OVER_SETTLE_MS),
      settleNow: () => sleep(TAKE_OVER_SETTLE_MS),
      refreshEveryMs: options.staleMs / REFRESHES_PER_STALE_MS,
    });
  }

  get tookOver(): boolean {
    return this.#directory.tookOver;
  }

  get seenTimeMs(): number {
    return this.#directory.seenTimeUs / 1_000;
  }

  /** @throws `ELOCKED` while another holder keeps the lease fresh */
  async take(): Promise<void> {
    assert(this.#state === 'taking', 'a lease is taken once');
    const { staleMs } = this.#options;
    const { lock } = loadLeaseLibrary();
    // The library registers leases by its first argument. With one key per lease, releasing a lost
    // lease does not release its successor at the same path.
    this.#remove = await lock(`${this.#path}#${randomUUID()}`, {
      lockfilePath: this.#path,
      realpath: false,
      retries: 0,
      stale: staleMs,
      update: staleMs / REFRESHES_PER_STALE_MS,
      fs: this.#directory.calls,
      onCompromised: (cause) => this.#lose(cause),
    });
    this.#state = 'held';
    this.#directory.hold();
    this.#forgetExit = atExit(() => this.#directory.removeNow());
  }

  /** Waits until another host that took the stale lease at the same time is visible. */
  async settle(): Promise<void> {
    try {
      await delay(TAKE_OVER_SETTLE_MS);
      await this.#directory.requireSettled();
    } catch (error) {
      await this.release();
      const message = 'another host took over the stale lease';
      throw Object.assign(new Error(message, { cause: error }), { code: 'ELOCKED' });
    }
  }

  isFresh(): boolean {
    return this.#state === 'held' && this.#directory.isFresh();
  }

  renew(): Promise<void> {
    return this.#directory.renew();
  }

  readonly blocking: BlockingLease = {
    refresh: () => {
      if (this.#state === 'held') this.#directory.refreshNow();
    },
    renew: () => this.#directory.renewNow(),
  };

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  #lose(cause: Error): void {
    if (this.#state !== 'held') return;
    this.#state = 'lost';
    try {
      this.#options.onLost(cause);
    } catch {
      // Called from the library's timer, where an exception would end the process.
    }
  }

  #tellOverdue(): void {
    if (this.#state === 'held') this.#options.onOverdue?.();
  }

  async #release(): Promise<void> {
    this.#forgetExit?.();
    if (this.#state === 'taking' || this.#state === 'released') return;
    this.#state = 'released';
    await this.#directory.close();
    try {
      await this.#remove?.();
    } catch (error) {
      // The library found out by itself that the lease was lost.
      if (systemCode(error) !== 'ERELEASED') throw error;
    }
  }
}
