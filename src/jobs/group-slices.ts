import type { JobContext } from './job-context.ts';

/**
 * Bytes of rows read between two looks at the clock: tens of microseconds, or a millisecond before
 * V8 has compiled the code. A group costs as much as GROUP_BYTES of rows.
 */
const LOOK_BYTES: number = 16 * 1024;
const GROUP_BYTES = 512;

/** Decides when to look at the clock: to look after each group would take too long. */
export class GroupSlices {
  readonly #pause: JobContext['pause'];
  #sinceBytes = 0;

  constructor(pause: JobContext['pause']) {
    this.#pause = pause;
  }

  noteGroup(rowsBytes: number): void {
    this.#sinceBytes += rowsBytes + GROUP_BYTES;
  }

  pauseIfDue(): Promise<void> | undefined {
    if (this.#sinceBytes < LOOK_BYTES) return undefined;
    this.#sinceBytes = 0;
    return this.#pause?.();
  }
}
