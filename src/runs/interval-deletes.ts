import { ROW_HEADER_BYTES, MAX_U64 } from '../base/limits.ts';
import { finishInSlices, type Steps } from '../base/steps.ts';
import type { Columns } from '../format/columns.ts';
import type { KeyInterval } from '../format/range-row.ts';
import { writeDeleteRow } from '../format/row.ts';
import { foldRuns } from './fold.ts';
import { LogRows } from './log-rows.ts';
import { keyBound, RunCursor } from './run-cursor.ts';

const BUFFERED_ROWS = 4_096;

/** Makes rows that delete one key each. */
export class DeleteRows {
  readonly #bytes: Uint8Array = new Uint8Array(BUFFERED_ROWS * ROW_HEADER_BYTES);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  readonly #take: (rows: Uint8Array) => void;
  #used = 0;

  /** `take` gets some thousand rows at a time, and copies them. */
  constructor(take: (rows: Uint8Array) => void) {
    this.#take = take;
  }

  add(low: number, high: number): void {
    writeDeleteRow(this.#view, this.#used, low, high);
    this.#used += ROW_HEADER_BYTES;
    if (this.#used === this.#bytes.length) this.flush();
  }

  flush(): void {
    if (this.#used > 0) this.#take(this.#bytes.subarray(0, this.#used));
    this.#used = 0;
  }
}

/** Updates of a log up to one that deletes an interval of keys, which comes after the run. */
export interface RunPart {
  /** Ascending keys, one update of each. */
  readonly run: readonly Columns[];
  /** Undefined at the end of the last part. */
  readonly interval: KeyInterval | undefined;
}

/**
 * Calls `add` for each key of a run that lies in the interval, ascending. A step calls it some
 * thousand times.
 */
export function* eachKeyIn(
  run: readonly Columns[],
  { lowest, highest }: KeyInterval,
  add: (low: number, high: number) => void,
): Steps<void> {
  const cursor = new RunCursor(run);
  cursor.skipBelow(lowest);
  const bound = highest === MAX_U64 ? undefined : keyBound(highest + 1n);
  for (let count = 1; cursor.isBelow(bound); cursor.next(), count++) {
    add(cursor.keyLow, cursor.keyHigh);
    if (count % BUFFERED_ROWS === 0) yield;
  }
}

/** Keys of a snapshot that lie in an interval. Returns the damage if they cannot be read. */
export type SnapshotKeys<Failure> = (
  interval: KeyInterval,
  add: (low: number, high: number) => void,
) => Promise<Failure | undefined>;

/**
 * Folds the parts of logs, oldest first, into one run. A delete of an interval becomes a delete of
 * each key there that the snapshot or an older part has. `pause` is called as by `finishInSlices`.
 */
export async function foldParts<Failure extends object>(
  parts: readonly RunPart[],
  snapshotKeys: SnapshotKeys<Failure>,
  pause?: () => Promise<void> | undefined,
): Promise<Columns[] | Failure> {
  let folded: Columns[] = [];
  for (const { run, interval } of parts) {
    folded = await finishInSlices(foldRuns([folded, run]), pause);
    if (interval === undefined) continue;
    const rows = new LogRows();
    const deletes = new DeleteRows((bytes) => rows.add(bytes));
    const add = (low: number, high: number): void => deletes.add(low, high);
    await finishInSlices(eachKeyIn(folded, interval, add), pause);
    const failure = await snapshotKeys(interval, add);
    if (failure !== undefined) return failure;
    deletes.flush();
    const deleted = await finishInSlices(rows.finishInSteps(), pause);
    folded = await finishInSlices(foldRuns([folded, deleted]), pause);
  }
  return folded;
}
