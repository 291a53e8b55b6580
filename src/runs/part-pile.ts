import type { GroupRows } from '../format/group-rows.ts';
import { partsOf, type KeyInterval } from '../format/range-row.ts';
import type { RunPart } from './interval-deletes.ts';
import { LogRows } from './log-rows.ts';
import { RunPile } from './run-pile.ts';

/** The parts of logs, oldest first, as they are read. Runs between two intervals are folded. */
export class PartPile {
  readonly #ended: RunPart[] = [];
  #runs: RunPile = new RunPile();

  add(parts: readonly RunPart[]): void {
    for (const { run, interval } of parts) {
      if (this.#runs.add(run)) this.#runs.fold();
      if (interval !== undefined) this.#end(interval);
    }
  }

  #end(interval: KeyInterval): void {
    this.#ended.push({ run: this.#runs.fold(), interval });
    this.#runs = new RunPile();
  }

  /** All parts; nothing is added after it. */
  finish(): RunPart[] {
    return [...this.#ended, { run: this.#runs.fold(), interval: undefined }];
  }
}

/** Collects the rows of groups of one log in parts. */
export class LogParts {
  readonly #parts: RunPart[] = [];
  #rows: LogRows = new LogRows();

  /** Copies the rows, which have been checked. */
  add({ rows, hasIntervals }: Pick<GroupRows, 'rows' | 'hasIntervals'>): void {
    if (!hasIntervals) {
      this.#rows.add(rows);
      return;
    }
    for (const part of partsOf(rows)) {
      if (part.kind === 'rows') this.#rows.add(part.rows);
      else this.#end(part.interval);
    }
  }

  #end(interval: KeyInterval): void {
    this.#parts.push({ run: this.#rows.finish(), interval });
    this.#rows = new LogRows();
  }

  /** Nothing is added after it. */
  finish(): RunPart[] {
    return [...this.#parts, { run: this.#rows.finish(), interval: undefined }];
  }
}
