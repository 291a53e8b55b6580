/** Steps in which file systems keep modification times, in microseconds: the finest first. */
const STEPS_US = [1, 1_000, 10_000, 1_000_000, 2_000_000] as const;

/** A time passes through a double and through nanoseconds on its way to the file and back. */
const ROUNDING_US = 1;

/** The maximum by which a lease's time is ahead of its holder's clock. */
export const MAX_AHEAD_MS = 3_000;

/**
 * The modification times of one lease. They are its identity: each is random within a second, and
 * is set by its holder alone. Inode numbers are not used, since overlay file systems change them.
 *
 * A time is never older than the moment it is set at, so that no other host takes the lease for
 * stale before its holder does.
 */
export class LeaseTimes {
  #stepUs: number | undefined;
  /** All that the directory may bear. */
  #possible: readonly number[] = [];
  /** Times whose call has not ended. */
  readonly #inFlight: Set<number> = new Set();
  /** Of these, those beside which another one was set: which of them comes last is not known. */
  readonly #overlapped: Set<number> = new Set();

  /** The next time to set, in microseconds since 1970. */
  next(nowMs: number): number {
    const timeUs = this.#stepUs === undefined ? firstTime(nowMs) : this.#laterTime(nowMs);
    this.#inFlight.add(timeUs);
    if (this.#inFlight.size > 1) {
      for (const other of this.#inFlight) this.#overlapped.add(other);
    }
    this.#possible = [...this.#possible, timeUs];
    return timeUs;
  }

  /** The call that sets a time from `next` has succeeded. */
  confirm(timeUs: number): void {
    const isOverlapped = this.#overlapped.has(timeUs);
    this.fail(timeUs);
    if (this.#stepUs === undefined) return;
    if (!isOverlapped) this.#possible = [timeUs];
    else if (this.#inFlight.size > 0) this.#possible = [timeUs, ...this.#inFlight];
  }

  /** That call has failed: the directory may bear the time or not. */
  fail(timeUs: number): void {
    this.#inFlight.delete(timeUs);
    this.#overlapped.delete(timeUs);
  }

  /**
   * Takes the first time as the file system kept it, and with it the step that this one keeps.
   * @throws `ENOTSUP` when the time that was set is not there
   */
  learn(timeUs: number): void {
    const setUs = this.#possible.at(-1) ?? Number.NaN;
    this.#stepUs = STEPS_US.find((stepUs) => Math.abs(timeUs - setUs) < stepUs + ROUNDING_US);
    if (this.#stepUs === undefined) {
      const message = 'the file system does not keep the modification time that is set';
      throw Object.assign(new Error(message), { code: 'ENOTSUP' });
    }
    this.#possible = [timeUs];
  }

  has(timeUs: number): boolean {
    return this.#possible.some((own) => Math.abs(own - timeUs) <= ROUNDING_US);
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
