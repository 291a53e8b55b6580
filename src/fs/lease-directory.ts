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
/** The library reads the time alone. */
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
 * - `taking`: a lease directory that is seen is somebody else's.
 * - `made`: this lease made the directory, and is learning how it looks.
 * - `held`: it is refreshed.
 * - `lost`: somebody else has it, or has removed it.
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
  /** The same, holding up the thread. */
  readonly settleNow: () => void;
  /** A loop that starves the timer is to refresh the lease this long after the last refresh. */
  readonly refreshEveryMs: number;
}

/** The calls of a refresh, on the event loop or at once. */
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
 * The lease's directory as `proper-lockfile` sees it. The library makes the directory, judges that
 * of somebody else, and has the timer. Every refresh is done here: the library would refresh a
 * stale lease, which may be another host's by now, and it removes whatever bears the name.
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
  /** Refreshes by `refreshNow`. */
  #blockingRefreshes = 0;
  /** What the library has been told that the directory's time is. */
  #toldTime: Date = new Date(5);

  constructor(options: LeaseDirectoryOptions) {
    this.#options = options;
  }

  readonly calls: LeaseCalls = {
    mkdir: (path, done) => this.#mkdir(path, done),
    stat: (path, done) => this.#stat(path, done),
    utimes: (_, __, modified, done) => this.#utimes(modified, done),
    rmdir: (path, done) => this.#rmdir(path, done),
    // Called by an exit hook that acts on signals: `removeNow` does it when the process really
    // ends.
    rmdirSync: () => undefined,
  };

  /** Whether a stale directory of somebody else was removed to make this one. */
  get tookOver(): boolean {
    return this.#tookOver;
  }

  /** The time of somebody else's lease, as it was last seen; microseconds since 1970. */
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
   * Makes a stale lease fresh again if nobody has taken it: it bears a time that was set here, is
   * refreshed, and bears the new time still when others who take it have shown themselves. Rejects
   * with the cause if any of this is not so; that nobody else has had it is for the owner record to
   * say. A lease that could not be refreshed but is fresh still is left as it is.
   */
  renew(): Promise<void> {
    this.#renewing = this.#renew();
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    await this.#refreshing;
    await begin(this.#renewed(WAITING, this.#options.settle));
  }

  /**
   * As `renew`, and holds up the thread meanwhile. A refresh of the timer may be in flight, and
   * changes nothing.
   */
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
      // Another pause in the meantime proves as little as the one before it.
      if (!this.#isWithinLimit(began)) continue;
      this.#refreshBegan = began;
      return;
    }
  }

  /**
   * Refreshes a fresh lease as the timer does, if that is due, for a loop that starves the timer.
   * What has happened to the lease is told as the timer tells it.
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

  /** Rejects unless the directory bears a time that was set here. */
  async requireSettled(): Promise<void> {
    await begin(this.#requireOurs(WAITING));
  }

  /**
   * Ends refreshing: the call in flight is awaited, and the library does not hear of its end. A
   * refresh that ran on after the removal would touch the next holder's directory.
   */
  async close(): Promise<void> {
    this.#phase = 'closing';
    await this.#refreshing;
    await this.#renewing.catch(() => undefined);
  }

  /** Removes the directory if it is ours, at the end of the process. */
  removeNow(): void {
    if (this.#phase !== 'held') return;
    const { path } = this.#options;
    // Should the process live on after all, it does so without a lease.
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

  /**
   * The library's answer is always that all is well: its timer is to go on while a refresh fails.
   */
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

  /** Never rejects. A failure that may pass is met again by the next refresh, or by `renew`. */
  async #refresh(): Promise<void> {
    const began = this.#options.clock();
    if (!this.isFresh()) return this.#options.onOverdue();
    const blockingRefreshes = this.#blockingRefreshes;
    try {
      await begin(this.#requireOurs(WAITING));
      // What was seen may be older than the time that has been set since.
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
    // Made again, the lease would be this user's; that is for `renew` to do.
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
   * Only the owner of the directory may set its time: a process that has changed its user makes it
   * again. Between the two calls another host may have had it, which the owner record tells.
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

/** The lease is not ours: `ENOENT` when there is none, `ELOCKED` when it is somebody else's. */
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
 * When the lease at `path` was refreshed, in microseconds since 1970; undefined where there is
 * none.
 */
export async function leaseTime(path: string): Promise<number | undefined> {
  try {
    return toMicroseconds((await lookAt(path, { bigint: true })).mtimeNs);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes the lease at `path`. Resolves also when there is none. */
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
