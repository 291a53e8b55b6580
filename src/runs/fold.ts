import { ColumnsBuilder } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';
import { keyBound, RunCursor, type KeyBound } from './run-cursor.ts';
import { RunHeap } from './run-heap.ts';

/**
 * The one rule by which records come together, in recovery and in a merge: ascending keys, of equal
 * keys the newer update wins. What live writes do to the table is the same rule, one update at a
 * time.
 */
export class Folder {
  readonly #builder: ColumnsBuilder = new ColumnsBuilder();
  readonly #emit: (columns: Columns) => void;

  constructor(emit: (columns: Columns) => void) {
    this.#emit = emit;
  }

  /** Records not yet emitted. */
  get pendingRecords(): number {
    return this.#builder.recordCount;
  }

  set limitRecords(limit: number) {
    this.#builder.limitRecords = limit;
  }

  /**
   * Takes the records of `older` (all of them) and of `newer` below `bound`. Deletes of `newer`
   * remove records and leave nothing behind.
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

  /** Emits columns as they are, behind all that is pending. */
  appendWhole(columns: Columns): void {
    this.flush();
    this.#emit(columns);
  }

  /**
   * As {@link apply} where there are no older records, for what is left of the chunk in which
   * `newer` stands.
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
   * Takes the records of the cursor's chunk from its record up to `end`, and moves the cursor
   * there.
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

/** Folds runs, oldest first, into one. Deletes stay: what they delete lies in a snapshot. */
export function foldRuns(runs: readonly (readonly Columns[])[]): Columns[] {
  const present = runs.filter((run) => run.length > 0);
  if (present.length === 1) return [...present[0]!];
  const folded: Columns[] = [];
  const folder = new Folder((columns) => folded.push(columns));
  const heap = new RunHeap(present);
  for (let top = heap.top; top !== undefined; top = heap.top) {
    const next = heap.passOthers();
    folder.take(top, next === undefined ? top.endBelow(undefined) : top.endBelowKeyOf(next));
    heap.reorder();
  }
  folder.flush();
  return folded;
}

/** Folds a run into the records of one chunk's range. `bound` is the next chunk's first key. */
export function foldChunk(
  older: readonly Columns[],
  newer: RunCursor,
  bound: bigint | undefined,
  folder: Folder,
): void {
  folder.apply(new RunCursor(older), newer, bound === undefined ? undefined : keyBound(bound));
}
