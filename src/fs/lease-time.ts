/** Steps in which file systems keep modification times, in microseconds: the finest first. */
const STEPS_US = [1, 1_000, 10_000, 1_000_000, 2_000_000] as const;

/** A time passes through a double and through nanoseconds on its way to the file and back. */
const ROUNDING_US = 1;

/** How far a lease's time lies ahead of its holder's clock at most. */
export const MAX_AHEAD_MS = 3_000;

/**
 * The modification times of one lease. They are its identity: each is random within a second, and is
 * set by its holder alone. Inode numbers are not used, since overlay file systems change them.
 *
 * A time is never older than the moment it is set at, so that no other host takes the lease for stale
 * before its holder does.
 */
export class LeaseTimes {
  #stepUs: number | undefined;
  #current: number | undefined;
  /** Set by a call that has not ended, or that failed: the directory may bear it or not. */
  #pending: number | undefined;

  /** The next time to set, in microseconds since 1970. */
  next(nowMs: number): number {
    this.#pending = this.#stepUs === undefined ? firstTime(nowMs) : this.#laterTime(nowMs);
    return this.#pending;
  }

  /** The call that sets the time from `next` has succeeded. */
  confirm(): void {
    if (this.#stepUs === undefined) return;
    this.#current = this.#pending;
    this.#pending = undefined;
  }

  /**
   * Takes the first time as the file system kept it, and with it the step that this one keeps.
   * @throws `ENOTSUP` when the time that was set is not there
   */
  learn(timeUs: number): void {
    const setUs = this.#pending ?? Number.NaN;
    this.#stepUs = STEPS_US.find((stepUs) => Math.abs(timeUs - setUs) < stepUs + ROUNDING_US);
    if (this.#stepUs === undefined) {
      const message = 'the file system does not keep the modification time that is set';
      throw Object.assign(new Error(message), { code: 'ENOTSUP' });
    }
    this.#current = timeUs;
    this.#pending = undefined;
  }

  has(timeUs: number): boolean {
    return [this.#current, this.#pending].some(
      (own) => own !== undefined && Math.abs(own - timeUs) <= ROUNDING_US,
    );
  }

  #laterTime(nowMs: number): number {
    const stepUs = this.#stepUs ?? 1;
    return Math.ceil((nowMs * 1_000 + Math.random() * 1_000_000) / stepUs) * stepUs;
  }
}

/** Lies in the middle between two steps of every size, so that it shows which of them is kept. */
function firstTime(nowMs: number): number {
  const hundredth = 10 + Math.floor(Math.random() * 80);
  const microsecond = 300 + Math.floor(Math.random() * 400);
  return (Math.floor(nowMs / 1_000) + 1) * 1_000_000 + hundredth * 10_000 + 5_000 + microsecond;
}
