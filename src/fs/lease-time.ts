/** The resolutions of modification times in file systems, in microseconds, finest first. */
const STEPS_US = [1, 1_000, 10_000, 1_000_000, 2_000_000] as const;

/**
 * Rounding error: a time is converted to a double and to nanoseconds on its way to the file and
 * back.
 */
const ROUNDING_US = 1;

/** The maximum by which a lease's time is ahead of its holder's clock. */
export const MAX_AHEAD_MS = 3_000;

/**
 * The modification times of one lease. They are its identity: each is random within a second, and
 * only its holder sets it. Inode numbers are not used, because overlay file systems change them.
 *
 * A time is never older than the moment it is set at, so that no other host considers the lease
 * stale before its holder does.
 */
export class LeaseTimes {
  #stepUs: number | undefined;
  /** All times that the directory may have. */
  #possible: readonly number[] = [];
  /** Times whose call has not ended. */
  readonly #inFlight: Set<number> = new Set();
  /**
   * Times of calls that overlapped with another call: which of them took effect last is unknown.
   */
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

  /** The call that sets a time from `next` succeeded. */
  confirm(timeUs: number): void {
    const isOverlapped = this.#overlapped.has(timeUs);
    this.fail(timeUs);
    if (this.#stepUs === undefined) return;
    if (!isOverlapped) this.#possible = [timeUs];
    else if (this.#inFlight.size > 0) this.#possible = [timeUs, ...this.#inFlight];
  }

  /** That call failed: the directory may have the time or not. */
  fail(timeUs: number): void {
    this.#inFlight.delete(timeUs);
    this.#overlapped.delete(timeUs);
  }

  /**
   * Takes the first time as the file system stored it, and derives the resolution.
   * @throws `ENOTSUP` if the stored time is not the one that was set
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

/**
 * In the middle between two steps of every resolution, so that the stored time shows which applies.
 */
function firstTime(nowMs: number): number {
  const hundredth = 10 + Math.floor(Math.random() * 80);
  const microsecond = 300 + Math.floor(Math.random() * 400);
  return (Math.floor(nowMs / 1_000) + 1) * 1_000_000 + hundredth * 10_000 + 5_000 + microsecond;
}
