import { existsSync, fstatSync, statSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';
import { monotonicMs } from '../base/timers.ts';
import type { OpenFileStat } from './file-system.ts';

/**
 * The facts about an open file, and when they were queried. Each call looks for the name, which
 * does not query times and costs a tenth of what a query costs together with the write that follows
 * it. If the name is gone, the facts are queried again.
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
    const recent = this.#stat;
    const isFound = existsSync(this.#path);
    if (isFound && recent !== undefined && nowMs - this.#atMs < maxAgeMs) {
      if (recent.isNamed && recent.linkCount > 0) return recent;
    }
    const { size, nlink } = fstatSync(descriptor);
    const stat = {
      sizeBytes: size,
      linkCount: nlink,
      isNamed: isFound || !isMissing(this.#path),
    };
    this.#stat = stat;
    this.#atMs = nowMs;
    return stat;
  }
}

/** Whether there is no such name. A name that cannot be looked up may exist. */
function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    const code = systemCode(error);
    return code === 'ENOENT' || code === 'ENOTDIR';
  }
}
