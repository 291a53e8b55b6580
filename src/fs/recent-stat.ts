import { fstatSync } from 'node:fs';
import { monotonicMs } from '../base/timers.ts';
import type { OpenFileStat } from './file-system.ts';

/** The facts about an open file, and when they were queried. */
export class RecentStat {
  #stat: OpenFileStat | undefined;
  #atMs = 0;

  /** `maxAgeMs`: 0 for a new query. */
  get(descriptor: number, maxAgeMs: number): OpenFileStat {
    const nowMs = monotonicMs();
    if (this.#stat === undefined || nowMs - this.#atMs >= maxAgeMs) {
      const { size, nlink } = fstatSync(descriptor);
      this.#stat = { sizeBytes: size, linkCount: nlink };
      this.#atMs = nowMs;
    }
    return this.#stat;
  }
}
