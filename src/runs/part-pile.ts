import type { Steps } from '../base/steps.ts';
import type { GroupRows } from '../format/group-rows.ts';
import type { KeyInterval } from '../base/interval-set.ts';
import { partsOf } from '../format/range-row.ts';
import type { RunPart } from './interval-deletes.ts';
import { LogRows } from './log-rows.ts';
import { RunPile } from './run-pile.ts';

/** The parts of logs, oldest first, as they are read. Runs between two intervals are folded. */
export class PartPile {
  readonly #ended: RunPart[] = [];
  #runs: RunPile = new RunPile();

  /** A step folds some thousand records. */
  *add(parts: readonly RunPart[]): Steps<void> {
    for (const { run, interval } of parts) {
      if (this.#runs.add(run)) yield* this.#runs.fold();
      if (interval !== undefined) yield* this.#end(interval);
    }
  }

  *#end(interval: KeyInterval): Steps<void> {
    this.#ended.push({ run: yield* this.#runs.fold(), interval });
    this.#runs = new RunPile();
  }

  /** All parts, in steps as `add`; nothing is added after it. */
  *finish(): Steps<RunPart[]> {
    return [...this.#ended, { run: yield* this.#runs.fold(), interval: undefined }];
  }
}

/**
 * Parts of at most so many bytes of rows are sorted when they end, in less than a millisecond. A
 * group may hold any number of them, and rows that are not sorted take more memory.
 */
const SHORT_BYTES: number = 64 * 1024;

/** A part that has ended, and whose rows are not sorted yet. */
interface UnsortedPart {
  readonly rows: LogRows;
  readonly interval: KeyInterval;
}

/** Collects the rows of groups of one log in parts. */
export class LogParts {
  readonly #parts: RunPart[] = [];
  /** Comes after `#parts`. The first is not sorted yet. */
  #waiting: (RunPart | UnsortedPart)[] = [];
  #rows: LogRows = new LogRows();
  #rowsBytes = 0;

  /** Copies the rows, which have been checked. Afterwards `work` may be due. */
  add({ rows, hasIntervals }: Pick<GroupRows, 'rows' | 'hasIntervals'>): void {
    if (!hasIntervals) {
      this.#collect(rows);
      return;
    }
    for (const part of partsOf(rows)) {
      if (part.kind === 'rows') this.#collect(part.rows);
      else this.#end(part.interval);
    }
  }

  /** Whether {@link work} must be done before more groups are added. */
  get isWorkDue(): boolean {
    return this.#waiting.length > 0 || this.#rows.isCheckDue;
  }

  #collect(rows: Uint8Array): void {
    this.#rows.add(rows);
    this.#rowsBytes += rows.length;
  }

  #end(interval: KeyInterval): void {
    const rows = this.#rows;
    if (this.#rowsBytes > SHORT_BYTES) this.#waiting.push({ rows, interval });
    else {
      const target = this.#waiting.length > 0 ? this.#waiting : this.#parts;
      target.push({ run: rows.finish(), interval });
    }
    this.#rows = new LogRows();
    this.#rowsBytes = 0;
  }

  /**
   * Sorts the parts that have ended, and drops superseded rows. A step makes one chunk, or passes
   * over some thousand rows.
   */
  *work(): Steps<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const part of waiting) {
      if ('run' in part) this.#parts.push(part);
      else {
        const run = yield* part.rows.finishInSteps();
        this.#parts.push({ run, interval: part.interval });
      }
    }
    if (this.#rows.isCheckDue) yield* this.#rows.check();
  }

  /** All parts, in steps as `work`. Nothing is added after it. */
  *finish(): Steps<RunPart[]> {
    yield* this.work();
    return [...this.#parts, { run: yield* this.#rows.finishInSteps(), interval: undefined }];
  }
}
