import { existsSync, fstatSync } from 'node:fs';
import { monotonicMs } from '../base/timers.ts';
import type { OpenFileStat } from './file-system.ts';

/**
 * The facts about an open file, and when they were queried. If `path` leads to no file any more,
 * they are queried again: to look for a name does not query times, and costs a tenth of what a
 * query costs together with the write that follows it. The name alone proves nothing, because the
 * file may have been renamed.
 */
export class RecentStat {
  readonly #path: string;
  #stat: OpenFileStat | undefined;
  #atMs = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** `maxAgeMs`: 0 for a new query. */
  get(descriptor: number, maxAgeMs: number): OpenFileStat {
    const nowMs = monotonicMs();
    if (
      this.#stat === undefined ||
      nowMs - this.#atMs >= maxAgeMs ||
      this.#stat.linkCount === 0 ||
      !existsSync(this.#path)
    ) {
      const { size, nlink } = fstatSync(descriptor);
      this.#stat = { sizeBytes: size, linkCount: nlink };
      this.#atMs = nowMs;
    }
    return this.#stat;
  }
}
