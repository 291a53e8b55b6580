import { ColumnsBuilder } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';
import { keyBound, RunCursor, type KeyBound } from './run-cursor.ts';

/**
 * The one rule by which records come together, in recovery and in a merge: ascending keys, of equal keys
 * the newer update wins. What live writes do to the table is the same rule, one update at a time.
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
   * Takes the records of `older` (all of them) and of `newer` below `bound`. Deletes of `newer` remove
   * records and leave nothing behind.
   */
  apply(older: RunCursor, newer: RunCursor, bound: KeyBound | undefined): void {
    for (;;) {
      const hasNewer = newer.isBelow(bound);
      if (older.done && !hasNewer) return;
      if (!hasNewer || (!older.done && isBefore(older, newer))) {
        this.append(older);
        older.next();
        continue;
      }
      if (!older.done && older.keyLow === newer.keyLow && older.keyHigh === newer.keyHigh) {
        older.next();
      }
      if (!newer.isDelete) this.append(newer);
      newer.next();
    }
  }

  /** Appends the cursor's record. */
  append(cursor: RunCursor): void {
    const dataLength = cursor.dataLength;
    if (this.#builder.isFullFor(dataLength)) this.flush();
    this.#builder.append(
      cursor.keyLow,
      cursor.keyHigh,
      cursor.valueLow,
      cursor.valueHigh,
      cursor.data,
      cursor.dataFrom,
      dataLength,
    );
  }

  flush(): void {
    if (this.#builder.recordCount > 0) this.#emit(this.#builder.finish());
  }
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
  const cursors = present.map((run) => new RunCursor(run));
  for (;;) {
    let least: RunCursor | undefined;
    for (const cursor of cursors) {
      // At equal keys the later run wins: it comes later in the list.
      if (!cursor.done && (least === undefined || !isBefore(least, cursor))) least = cursor;
    }
    if (least === undefined) break;
    folder.append(least);
    const { keyLow, keyHigh } = least;
    for (const cursor of cursors) {
      if (!cursor.done && cursor.keyLow === keyLow && cursor.keyHigh === keyHigh) cursor.next();
    }
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
