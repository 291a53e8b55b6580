import { mkdir, rmdir, rmdirSync, stat, statSync, utimes } from 'node:fs';
import type { Stats } from 'node:fs';
import { elapsedMs } from './lease-clock.ts';
import type { LeaseClock, LeaseMoment } from './lease-clock.ts';

type Failure = NodeJS.ErrnoException | null;
type Done = (error: Failure) => void;
type StatDone = (error: Failure, stats?: Stats) => void;

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
 * - `closing`: no refresh goes on, what is left is to remove it.
 */
type Phase = 'taking' | 'made' | 'held' | 'closing';

/**
 * The lease's directory as `proper-lockfile` sees it. Stands in between to know what the library
 * does not tell or check: when the last refresh began, and that the directory is still the one made
 * here. The library removes whatever bears the name, also when the process exits.
 */
export class LeaseDirectory {
  readonly #staleMs: number;
  readonly #clock: LeaseClock;
  #phase: Phase = 'taking';
  #tookOver = false;
  #roundBegan: LeaseMoment;
  #refreshBegan: LeaseMoment | undefined = undefined;
  #inode: number | undefined = undefined;
  #modifiedMs: number | undefined = undefined;
  #inFlight = 0;
  #onIdle: (() => void) | undefined = undefined;

  constructor(staleMs: number, clock: LeaseClock) {
    this.#staleMs = staleMs;
    this.#clock = clock;
    this.#roundBegan = clock();
  }

  readonly calls: LeaseCalls = {
    mkdir: (path, done) => this.#mkdir(path, done),
    stat: (path, done) => this.#stat(path, done),
    utimes: (path, accessed, modified, done) => this.#utimes(path, accessed, modified, done),
    rmdir: (path, done) => this.#rmdir(path, done),
    rmdirSync: (path) => {
      if (this.#isOurs(statSync(path))) rmdirSync(path);
    },
  };

  /** Whether a stale directory of somebody else was removed to make this one. */
  get tookOver(): boolean {
    return this.#tookOver;
  }

  hold(): void {
    this.#phase = 'held';
  }

  /** True while the last successful refresh began less than the stale limit ago. */
  isFresh(): boolean {
    if (this.#refreshBegan === undefined) return false;
    return elapsedMs(this.#refreshBegan, this.#clock()) < this.#staleMs;
  }

  /**
   * Ends refreshing: the call in flight is awaited, and the library does not hear of its end. A
   * refresh that ran on after the removal would touch the next holder's directory.
   */
  async close(): Promise<void> {
    this.#phase = 'closing';
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  /** Whether the directory at `path` is still the one made here, refreshed by nobody else. */
  isStillOurs(path: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      stat(path, (error, stats) => {
        if (error && error.code !== 'ENOENT') reject(error);
        else resolve(!error && this.#isOurs(stats));
      });
    });
  }

  #mkdir(path: string, done: Done): void {
    const began = this.#clock();
    mkdir(path, (error) => {
      if (!error) {
        this.#phase = 'made';
        this.#refreshBegan = began;
      }
      done(error);
    });
  }

  #stat(path: string, done: StatDone): void {
    const began = this.#clock();
    this.#inFlight++;
    stat(path, (error, stats) => {
      if (!this.#goesOn()) return;
      if (error) return done(error);
      // The library takes the time of a refresh after this call, so the refresh is no older than it.
      this.#roundBegan = began;
      if (this.#phase === 'made') this.#identify(stats);
      if (this.#phase === 'held' && !this.#isOurs(stats)) {
        return done(lost('the lease was taken or touched by another host'));
      }
      done(null, stats);
    });
  }

  #utimes(path: string, accessed: Date, modified: Date, done: Done): void {
    if (this.#phase === 'made') return utimes(path, accessed, distinctTime(modified), done);
    // A stale lease may be in another host's hands already: it is given up, not refreshed.
    if (!this.isFresh()) return done(lost('the lease went stale before it was refreshed'));
    this.#inFlight++;
    utimes(path, accessed, modified, (error) => {
      if (!this.#goesOn()) return;
      if (error) return done(error);
      if (!this.isFresh()) return done(lost('the lease went stale while it was refreshed'));
      this.#modifiedMs = modified.getTime();
      this.#refreshBegan = this.#roundBegan;
      done(null);
    });
  }

  #rmdir(path: string, done: Done): void {
    if (this.#phase === 'taking') this.#tookOver = true;
    if (this.#phase !== 'closing') return rmdir(path, done);
    stat(path, (error, stats) => {
      if (error) return done(error);
      if (this.#isOurs(stats)) rmdir(path, done);
      else done(null);
    });
  }

  #identify(stats: Stats): void {
    this.#inode = stats.ino;
    this.#modifiedMs = stats.mtimeMs;
  }

  /** A number of an inode may be used again; its time of change then tells the two apart. */
  #isOurs(stats: Stats): boolean {
    const sameTime =
      stats.mtimeMs === this.#modifiedMs || stats.mtime.getTime() === this.#modifiedMs;
    return stats.ino === this.#inode && sameTime;
  }

  #goesOn(): boolean {
    this.#inFlight--;
    if (this.#phase !== 'closing') return true;
    if (this.#inFlight === 0) this.#onIdle?.();
    return false;
  }
}

/**
 * The library's first time is the next full second and 5 ms, the same for all who race within a
 * second. Any other time serves it as well, if its milliseconds are not 0.
 *
 * @returns seconds since 1970, with a random fraction, at most a second later than `proposed`
 */
function distinctTime(proposed: Date): number {
  const second = Math.floor(proposed.getTime() / 1000);
  return second + (1 + Math.random() * 998) / 1000;
}

/** An error that the library takes for the loss of the lease: with other codes it would try again. */
function lost(message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code: 'ENOENT' });
}
