import { mkdir, mkdirSync, rmdir, rmdirSync, stat, statSync, utimesSync } from 'node:fs';
import type { Stats } from 'node:fs';
import {
  mkdir as makeDirectory,
  rmdir as removeDirectory,
  stat as lookAt,
  utimes,
} from 'node:fs/promises';
import { wallMs } from '../base/timers.ts';
import { systemCode } from '../base/errors.ts';
import { begin, finishAtOnce, waited, type Awaitable, type Flow } from '../base/flow.ts';
import { elapsedMs } from './lease-clock.ts';
import type { LeaseClock, LeaseMoment } from './lease-clock.ts';
import { LeaseTimes } from './lease-time.ts';

type Failure = NodeJS.ErrnoException | null;
type Done = (error: Failure) => void;
/** The library reads only the modification time. */
type StatDone = (error: Failure, stats?: Pick<Stats, 'mtime'>) => void;

/** The calls of `node:fs` that `proper-lockfile` makes. */
export interface LeaseCalls {
  mkdir(path: string, done: Done): void;
  stat(path: string, done: StatDone): void;
  utimes(path: string, accessed: Date, modified: Date, done: Done): void;
  rmdir(path: string, done: Done): void;
  rmdirSync(path: string): void;
}

/**
 * - `taking`: a lease directory that exists belongs to another holder.
 * - `made`: this lease made the directory and reads back its modification time.
 * - `held`: the lease is refreshed.
 * - `lost`: another holder has it, or somebody removed it.
 * - `closing`: no refresh is running; the lease is being removed.
 */
type Phase = 'taking' | 'made' | 'held' | 'lost' | 'closing';

export interface LeaseDirectoryOptions {
  readonly path: string;
  readonly staleMs: number;
  readonly clock: LeaseClock;
  readonly onLost: (cause: Error) => void;
  /** A refresh failed: the lease is stale, or belongs to another user. */
  readonly onOverdue: () => void;
  /** Waits until another host that took the stale lease at the same time is visible. */
  readonly settle: () => Promise<void>;
  /** As `settle`, but blocks the thread. */
  readonly settleNow: () => void;
  /** A loop that starves the timer refreshes the lease this long after the last refresh. */
  readonly refreshEveryMs: number;
}

/** The calls of a refresh: on the event loop, or blocking. */
interface RefreshCalls {
  timeOf(path: string): Awaitable<number | undefined>;
  setTime(path: string, seconds: number): Awaitable<void>;
  makeDirectory(path: string): Awaitable<void>;
  removeDirectory(path: string): Awaitable<void>;
}

const WAITING: RefreshCalls = {
  timeOf: leaseTime,
  setTime: (path, seconds) => utimes(path, seconds, seconds),
  makeDirectory,
  removeDirectory,
};

const BLOCKING: RefreshCalls = {
  timeOf: (path) => {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stats && toMicroseconds(stats.mtimeNs);
  },
  setTime: (path, seconds) => utimesSync(path, seconds, seconds),
  makeDirectory: (path) => mkdirSync(path),
  removeDirectory: (path) => rmdirSync(path),
};

/**
 * The lease's directory as `proper-lockfile` sees it. The library makes the directory, decides
 * whether another holder's lease is stale, and runs the timer. Every refresh is done here, because
 * the library would refresh a stale lease, which may belong to another host by now. The removal is
 * done here too, because the library removes any directory of that name.
 */
export class LeaseDirectory {
  readonly #options: LeaseDirectoryOptions;
  readonly #times: LeaseTimes = new LeaseTimes();
  #phase: Phase = 'taking';
  #tookOver = false;
  #seenTimeUs = 0;
  #refreshBegan: LeaseMoment | undefined = undefined;
  #refreshing: Promise<void> = Promise.resolve();
  #renewing: Promise<void> = Promise.resolve();
  /** The number of refreshes by `refreshNow`. */
  #blockingRefreshes = 0;
  /** The directory's time as reported to the library. */
  #toldTime: Date = new Date(5);

  constructor(options: LeaseDirectoryOptions) {
    this.#options = options;
  }

  readonly calls: LeaseCalls = {
    mkdir: (path, done) => this.#mkdir(path, done),
    stat: (path, done) => this.#stat(path, done),
    utimes: (_, __, modified, done) => this.#utimes(modified, done),
    rmdir: (path, done) => this.#rmdir(path, done),
    // Called by an exit hook that reacts to signals. `removeNow` removes the directory when the
    // process really exits.
    rmdirSync: () => undefined,
  };

  /** True if a stale directory of another holder was removed to make this one. */
  get tookOver(): boolean {
    return this.#tookOver;
  }

  /** The last seen time of another holder's lease, in microseconds since 1970. */
  get seenTimeUs(): number {
    return this.#seenTimeUs;
  }

  hold(): void {
    this.#phase = 'held';
  }

  /** True while the last successful refresh began less than the stale limit ago. */
  isFresh(): boolean {
    if (this.#phase !== 'held' && this.#phase !== 'made') return false;
    return this.#refreshBegan !== undefined && this.#isWithinLimit(this.#refreshBegan);
  }

  /**
   * Makes a stale lease fresh again if nobody has taken it. The directory must have a time that was
   * set here; it is refreshed; after the settling time, it must still have the new time. Rejects
   * with the cause if one of these steps fails. The lease cannot show whether another host held it
   * in the meantime and released it: the owner record shows that. If the refresh fails while the
   * lease is still fresh, nothing changes.
   */
  renew(): Promise<void> {
    this.#renewing = this.#renew();
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    await this.#refreshing;
    await begin(this.#renewed(WAITING, this.#options.settle));
  }

  /** As `renew`, but blocks the thread. A refresh of the timer that is in flight has no effect. */
  renewNow(): void {
    this.#blockingRefreshes++;
    finishAtOnce(this.#renewed(BLOCKING, this.#options.settleNow));
  }

  *#renewed(calls: RefreshCalls, settle: () => Awaitable<void>): Flow<void> {
    for (;;) {
      this.#requireHeld();
      const began = this.#options.clock();
      yield* this.#requireOurs(calls);
      this.#requireHeld();
      try {
        yield* this.#touchOrRemake(calls);
      } catch (error) {
        // Nothing has changed: the next refresh tries again.
        if (this.isFresh()) return;
        throw error;
      }
      yield* waited(settle());
      yield* this.#requireOurs(calls);
      // A pause during the renewal proves as little as the first pause.
      if (!this.#isWithinLimit(began)) continue;
      this.#refreshBegan = began;
      return;
    }
  }

  /**
   * Refreshes a fresh lease if a refresh is due, for a loop that starves the timer. Reports the
   * outcome as the timer does.
   */
  refreshNow(): void {
    const last = this.#refreshBegan;
    if (last === undefined || !this.isFresh()) return;
    const began = this.#options.clock();
    if (elapsedMs(last, began) < this.#options.refreshEveryMs) return;
    this.#blockingRefreshes++;
    try {
      finishAtOnce(this.#requireOurs(BLOCKING));
      finishAtOnce(this.#touch(BLOCKING));
    } catch (error) {
      this.#refreshFailed(error);
      return;
    }
    if (this.isFresh()) this.#refreshBegan = began;
  }

  /** Rejects unless the directory has a time that was set here. */
  async requireSettled(): Promise<void> {
    await begin(this.#requireOurs(WAITING));
  }

  /**
   * Ends refreshing. Waits for the call in flight, whose end is not reported to the library. A
   * refresh after the removal would touch the next holder's directory.
   */
  async close(): Promise<void> {
    this.#phase = 'closing';
    await this.#refreshing;
    await this.#renewing.catch(() => undefined);
  }

  /** Removes the directory if it is ours. Called when the process exits. */
  removeNow(): void {
    if (this.#phase !== 'held') return;
    const { path } = this.#options;
    // If the process continues after all, it has no lease.
    this.#refreshBegan = undefined;
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (stats !== undefined && this.#times.has(toMicroseconds(stats.mtimeNs))) rmdirSync(path);
  }

  #isWithinLimit(began: LeaseMoment): boolean {
    return elapsedMs(began, this.#options.clock()) < this.#options.staleMs;
  }

  #mkdir(path: string, done: Done): void {
    const began = this.#options.clock();
    mkdir(path, (error) => {
      if (!error) {
        this.#phase = 'made';
        this.#refreshBegan = began;
      }
      done(error);
    });
  }

  #stat(path: string, done: StatDone): void {
    if (this.#phase === 'held') return done(null, { mtime: this.#toldTime });
    stat(path, { bigint: true }, (error, stats) => {
      if (error) return done(error);
      const timeUs = toMicroseconds(stats.mtimeNs);
      if (this.#phase === 'taking') {
        this.#seenTimeUs = timeUs;
        return done(null, stats);
      }
      try {
        this.#times.learn(timeUs);
        done(null, { mtime: this.#toldTime });
      } catch (unkept) {
        done(unkept as NodeJS.ErrnoException);
      }
    });
  }

  /** Always reports success to the library, so that its timer continues while refreshes fail. */
  #utimes(modified: Date, done: Done): void {
    this.#toldTime = modified;
    if (this.#phase === 'made') {
      Promise.resolve(begin(this.#touch(WAITING))).then(() => done(null), done);
      return;
    }
    if (this.#phase !== 'held') return;
    this.#refreshing = this.#refresh();
    void this.#refreshing.then(() => {
      if (this.#phase === 'held') done(null);
    });
  }

  /** Never rejects. A temporary failure is handled by the next refresh, or by `renew`. */
  async #refresh(): Promise<void> {
    const began = this.#options.clock();
    if (!this.isFresh()) return this.#options.onOverdue();
    const blockingRefreshes = this.#blockingRefreshes;
    try {
      await begin(this.#requireOurs(WAITING));
      // The time that was read may be older than a time set since.
      if (this.#blockingRefreshes > blockingRefreshes) return;
      await begin(this.#touch(WAITING));
    } catch (error) {
      if (this.#blockingRefreshes === blockingRefreshes) this.#refreshFailed(error);
      return;
    }
    if (this.#phase !== 'held' || this.#blockingRefreshes > blockingRefreshes) return;
    if (this.isFresh()) this.#refreshBegan = began;
    else this.#options.onOverdue();
  }

  #refreshFailed(error: unknown): void {
    if (error instanceof LeaseTakenError) this.#lose(error);
    // A new directory would be this user's; `renew` makes it.
    else if (systemCode(error) === 'EPERM') this.#options.onOverdue();
  }

  #lose(cause: Error): void {
    if (this.#phase !== 'held') return;
    this.#phase = 'lost';
    this.#options.onLost(cause);
  }

  #requireHeld(): void {
    if (this.#phase === 'held') return;
    const message = 'the lease was lost or released';
    throw new LeaseTakenError('ENOENT', this.#options.path, message);
  }

  *#touch(calls: RefreshCalls): Flow<void> {
    const timeUs = this.#times.next(wallMs());
    try {
      yield* waited(calls.setTime(this.#options.path, timeUs / 1_000_000));
    } catch (error) {
      this.#times.fail(timeUs);
      throw error;
    }
    this.#times.confirm(timeUs);
  }

  /**
   * Only the owner of the directory may set its time, so a process that has changed its user makes
   * the directory again. Another host may hold the lease between the two calls; the owner record
   * shows that.
   */
  *#touchOrRemake(calls: RefreshCalls): Flow<void> {
    try {
      yield* this.#touch(calls);
    } catch (error) {
      if (systemCode(error) !== 'EPERM') throw error;
      const { path } = this.#options;
      yield* waited(calls.removeDirectory(path));
      this.#refreshBegan = undefined;
      yield* waited(calls.makeDirectory(path));
      yield* this.#touch(calls);
    }
  }

  *#requireOurs(calls: RefreshCalls): Flow<void> {
    const { path } = this.#options;
    const timeUs = yield* waited(calls.timeOf(path));
    if (timeUs === undefined) throw new LeaseTakenError('ENOENT', path, 'the lease was removed');
    if (this.#times.has(timeUs)) return;
    throw new LeaseTakenError(
      'ELOCKED',
      path,
      'the modification time of the lease was not set by this process',
    );
  }

  #rmdir(path: string, done: Done): void {
    if (this.#phase === 'taking') this.#tookOver = true;
    if (this.#phase === 'taking' || this.#phase === 'made') return rmdir(path, done);
    stat(path, { bigint: true }, (error, stats) => {
      if (error) return done(error);
      if (this.#times.has(toMicroseconds(stats.mtimeNs))) rmdir(path, done);
      else done(null);
    });
  }
}

/** The lease is not ours. `ENOENT`: there is none. `ELOCKED`: another holder has it. */
export class LeaseTakenError extends Error {
  override readonly name: string = 'LeaseTakenError';
  readonly code: 'ENOENT' | 'ELOCKED';
  readonly path: string;

  constructor(code: 'ENOENT' | 'ELOCKED', path: string, message: string) {
    super(message);
    this.code = code;
    this.path = path;
  }
}

/**
 * The time of the last refresh of the lease at `path`, in microseconds since 1970; undefined if
 * there is no lease.
 */
export async function leaseTime(path: string): Promise<number | undefined> {
  try {
    return toMicroseconds((await lookAt(path, { bigint: true })).mtimeNs);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes the lease at `path`. Also resolves if there is none. */
export async function removeLease(path: string): Promise<void> {
  try {
    await removeDirectory(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}

function toMicroseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / 1_000n);
}
