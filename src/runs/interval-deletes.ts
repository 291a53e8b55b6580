import { ROW_HEADER_BYTES, MAX_U64 } from '../base/limits.ts';
import { finishInSlices, type Steps } from '../base/steps.ts';
import type { Columns } from '../format/columns.ts';
import { IntervalSet, type KeyInterval } from '../base/interval-set.ts';
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
 * Calls `add` for each key of a run that lies in an interval, ascending. The intervals ascend and
 * do not overlap. A step calls it some thousand times.
 */
export function* eachKeyIn(
  run: readonly Columns[],
  intervals: readonly KeyInterval[],
  add: (low: number, high: number) => void,
): Steps<void> {
  const cursor = new RunCursor(run);
  let count = 0;
  for (const { lowest, highest } of intervals) {
    cursor.skipBelow(lowest);
    if (cursor.done) return;
    const bound = highest === MAX_U64 ? undefined : keyBound(highest + 1n);
    for (; cursor.isBelow(bound); cursor.next()) {
      add(cursor.keyLow, cursor.keyHigh);
      if (++count % BUFFERED_ROWS === 0) yield;
    }
  }
}

/** Keys of a snapshot in intervals, as `eachKeyIn`. Returns the damage if they cannot be read. */
export type SnapshotKeys<Failure> = (
  intervals: readonly KeyInterval[],
  add: (low: number, high: number) => void,
) => Promise<Failure | undefined>;

/**
 * Folds the parts of logs, oldest first, into one run. Deletes of intervals become deletes of the
 * keys that the snapshot or an older part has. It goes from the newest part to the oldest, so that
 * the intervals that cover a part are known, and each key is looked up once, however many intervals
 * there are. `pause` is called as by `finishInSlices`.
 */
export async function foldParts<Failure extends object>(
  parts: readonly RunPart[],
  snapshotKeys: SnapshotKeys<Failure>,
  pause?: () => Promise<void> | undefined,
): Promise<Columns[] | Failure> {
  const newer = IntervalSet.for(parts.flatMap(({ interval }) => interval ?? []));
  /** Newest first. */
  const runs: (readonly Columns[])[] = [];
  for (const { run, interval } of parts.toReversed()) {
    if (interval !== undefined) newer.add(interval);
    if (!newer.isEmpty) runs.push(await finishInSlices(deletesOf(run, newer), pause));
    runs.push(run);
  }
  if (!newer.isEmpty) {
    const deleted = new DeletedKeys();
    const failure = await snapshotKeys(newer.intervals(), (low, high) => deleted.add(low, high));
    if (failure !== undefined) return failure;
    runs.push(await finishInSlices(deleted.finish(), pause));
  }
  return finishInSlices(foldRuns(runs.toReversed()), pause);
}

/** Deletes of a run's records that are in the set. */
function* deletesOf(run: readonly Columns[], covered: IntervalSet): Steps<Columns[]> {
  let deleted: DeletedKeys | undefined;
  const cursor = new RunCursor(run);
  for (let count = 1; !cursor.done; cursor.next(), count++) {
    if (count % BUFFERED_ROWS === 0) yield;
    if (cursor.isDelete || !covered.has(cursor.keyLow, cursor.keyHigh)) continue;
    deleted ??= new DeletedKeys();
    deleted.add(cursor.keyLow, cursor.keyHigh);
  }
  return deleted === undefined ? [] : yield* deleted.finish();
}

/** A run of deletes. */
class DeletedKeys {
  readonly #collected: LogRows = new LogRows();
  readonly #rows: DeleteRows = new DeleteRows((bytes) => this.#collected.add(bytes));

  add(low: number, high: number): void {
    this.#rows.add(low, high);
  }

  *finish(): Steps<Columns[]> {
    this.#rows.flush();
    return yield* this.#collected.finishInSteps();
  }
}
