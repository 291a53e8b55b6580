import type { Steps } from '../base/steps.ts';
import { ColumnsBuilder } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';
import { keyBound, RunCursor, type KeyBound } from './run-cursor.ts';
import { RunHeap } from './run-heap.ts';

/**
 * The one rule for combining records, in recovery and in a merge: ascending keys; for equal keys
 * the newer update wins. Live writes apply the same rule to the table, one update at a time.
 */
export class Folder {
  readonly #builder: ColumnsBuilder = new ColumnsBuilder();
  readonly #emit: (columns: Columns) => void;

  constructor(emit: (columns: Columns) => void) {
    this.#emit = emit;
  }

  /** Number of records not yet emitted. */
  get pendingRecords(): number {
    return this.#builder.recordCount;
  }

  set limitRecords(limit: number) {
    this.#builder.limitRecords = limit;
  }

  /**
   * Consumes all records of `older`, and those of `newer` below `bound`. A delete in `newer`
   * removes the older record and is not emitted.
   */
  apply(older: RunCursor, newer: RunCursor, bound: KeyBound | undefined): void {
    for (;;) {
      const hasNewer = newer.isBelow(bound);
      if (older.done && !hasNewer) return;
      if (!hasNewer || (!older.done && isBefore(older, newer))) {
        this.take(older, hasNewer ? older.endBelowKeyOf(newer) : older.endBelow(undefined));
        continue;
      }
      if (!older.done && isSame(older, newer)) older.next();
      const below = older.isBelow(bound) ? newer.endBelowKeyOf(older) : newer.endBelow(bound);
      const end = newer.firstDelete(below);
      if (end === newer.index) newer.next();
      else this.take(newer, end);
    }
  }

  /** Emits all pending records, then `columns` unchanged. */
  appendWhole(columns: Columns): void {
    this.flush();
    this.#emit(columns);
  }

  /**
   * Like {@link apply} without older records, but only up to the end of the current chunk of
   * `newer`.
   */
  applyChunk(newer: RunCursor, bound: KeyBound | undefined): void {
    const { chunk } = newer;
    const end = newer.endBelow(bound);
    while (!newer.done && newer.chunk === chunk && newer.index < end) {
      const puts = newer.firstDelete(end);
      if (puts === newer.index) newer.next();
      else this.take(newer, puts);
    }
  }

  /**
   * Appends the records of the cursor's chunk from the current one up to `end`, and moves the
   * cursor to `end`.
   */
  take(cursor: RunCursor, end: number): void {
    const { chunk } = cursor;
    let from = cursor.index;
    while (from < end) {
      const to = this.#builder.appendRange(chunk, from, end);
      if (to === from) this.flush();
      from = to;
    }
    cursor.skipTo(end);
  }

  flush(): void {
    if (this.#builder.recordCount > 0) this.#emit(this.#builder.finish());
  }
}

function isSame(a: RunCursor, b: RunCursor): boolean {
  return a.keyLow === b.keyLow && a.keyHigh === b.keyHigh;
}

function isBefore(a: RunCursor, b: RunCursor): boolean {
  return a.keyHigh < b.keyHigh || (a.keyHigh === b.keyHigh && a.keyLow < b.keyLow);
}

/** Records that one step folds: tens of microseconds, or a millisecond before V8 has compiled. */
const STEP_RECORDS = 2_048;

/**
 * Folds runs, oldest first, into one. Deletes are kept: the records that they delete are in a
 * snapshot. A step takes some thousand records.
 */
export function* foldRuns(runs: readonly (readonly Columns[])[]): Steps<Columns[]> {
  const present = runs.filter((run) => run.length > 0);
  if (present.length === 1) return [...present[0]!];
  const folded: Columns[] = [];
  const folder = new Folder((columns) => folded.push(columns));
  const heap = new RunHeap(present);
  let recordsLeft = STEP_RECORDS;
  for (let top = heap.top; top !== undefined; top = heap.top) {
    const next = heap.passOthers();
    const end = next === undefined ? top.endBelow(undefined) : top.endBelowKeyOf(next);
    recordsLeft -= end - top.index;
    folder.take(top, end);
    heap.reorder();
    if (recordsLeft > 0) continue;
    yield;
    recordsLeft = STEP_RECORDS;
  }
  folder.flush();
  return folded;
}

/** Folds a run into the records of one chunk. `bound` is the next chunk's first key. */
export function foldChunk(
  older: readonly Columns[],
  newer: RunCursor,
  bound: bigint | undefined,
  folder: Folder,
): void {
  folder.apply(new RunCursor(older), newer, bound === undefined ? undefined : keyBound(bound));
}
