import { viewOf } from '../../base/bytes.ts';
import type { Flow } from '../../base/flow.ts';
import { BatchTooLargeError, type StoreError } from '../../base/errors.ts';
import { MAX_DELTA_BYTES, ROW_HEADER_BYTES } from '../../base/limits.ts';
import { IntervalBounds, IntervalSet } from '../../base/interval-set.ts';
import { intervalAt, isRangeRow } from '../../format/range-row.ts';
import { DATA_LENGTH, KEY_HIGH, KEY_LOW, writeDeleteRow } from '../../format/row.ts';
import { CHECKED_ROWS, WorkSlices, type Pacing } from '../../base/work-slices.ts';
import { PositionList } from '../../table/delta/position-list.ts';
import type { Table } from '../../table/table.ts';

/** Rows that are copied at once. */
const COPIED_BYTES: number = 256 * 1024;

/**
 * Begins to publish what a batch with deletes of intervals becomes in the table. Nothing is indexed
 * yet. Returns the error if the table has no room for it.
 */
export function publishExpanded(
  table: Table,
  rows: Uint8Array,
  pacing: Pacing,
): Flow<StoreError | undefined> {
  return new BatchExpansion(table, rows, new WorkSlices(pacing)).publish();
}

/**
 * The rows that a batch with deletes of intervals becomes in the table:
 *
 * 1. A delete of each key that the table has in one of the intervals.
 * 2. The rows of the batch, in order, without those that a later interval covers: what these would
 *    leave is what the deletes leave.
 *
 * So the table gets at most one row for each of its records and for each row of the batch, however
 * many intervals there are. The rows are read from the newest to the oldest, with the set of the
 * intervals behind them, and the table is read once in each part of the union. This takes about as
 * long as sorting the intervals. Exact only between two groups, while nothing else changes the
 * table.
 */
class BatchExpansion {
  readonly #table: Table;
  readonly #rows: Uint8Array;
  readonly #view: DataView;
  readonly #slices: WorkSlices;
  /** Offsets of all rows. */
  readonly #offsets: PositionList = new PositionList();
  /** Sequences of rows that stay: the end, then the beginning, of the last one first. */
  readonly #kept: PositionList = new PositionList();
  /** Halves of the keys that are deleted, low half first. A list of one million keys is 8 MB. */
  readonly #deleted: PositionList = new PositionList();
  #lengthBytes = 0;
  #untilCheck = CHECKED_ROWS;

  constructor(table: Table, rows: Uint8Array, slices: WorkSlices) {
    this.#table = table;
    this.#rows = rows;
    this.#view = viewOf(rows);
    this.#slices = slices;
  }

  *publish(): Flow<StoreError | undefined> {
    const table = this.#table;
    const intervals = new IntervalSet(yield* this.#bounds());
    yield* this.#selectRows(intervals);
    const hasRoom = yield* this.#findRecords(intervals);
    const lengthBytes = this.#lengthBytes;
    if (!hasRoom) return new BatchTooLargeError(lengthBytes, MAX_DELTA_BYTES - table.liveBytes);
    // A region is never empty.
    const region = table.reserve(Math.max(1, lengthBytes), 'uncounted');
    // Keys that an interval deletes were found in the table. Other rows may be of any key.
    table.beginPublish(region, lengthBytes, this.#kept.length === 0 ? 'present' : 'any');
    yield* this.#copyRows(region.bytes, yield* this.#writeDeletes(region.bytes));
    return undefined;
  }

  /** Lists the rows. Returns the bounds of the intervals. */
  *#bounds(): Flow<BigUint64Array> {
    const view = this.#view;
    let intervalCount = 0;
    for (let offset = 0; offset < view.byteLength;) {
      this.#offsets.append(offset);
      if (isRangeRow(view, offset)) intervalCount++;
      offset += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
      if (--this.#untilCheck === 0) yield* this.#check();
    }
    const bounds = new IntervalBounds(intervalCount);
    for (let i = 0; i < this.#offsets.length; i++) {
      const offset = this.#offsets.at(i);
      if (isRangeRow(view, offset)) bounds.add(intervalAt(view, offset));
      if (--this.#untilCheck === 0) yield* this.#check();
    }
    return yield* this.#slices.finish(bounds.starts());
  }

  /** Adds all intervals to the set, and finds the rows that no later interval covers. */
  *#selectRows(intervals: IntervalSet): Flow<void> {
    const view = this.#view;
    let end = view.byteLength;
    /** The rows that stay, found last. */
    let [keptFrom, keptTo] = [end, end];
    for (let i = this.#offsets.length - 1; i >= 0; i--) {
      const offset = this.#offsets.at(i);
      if (isRangeRow(view, offset)) {
        yield* this.#slices.finish(intervals.addInSteps(intervalAt(view, offset)));
      } else if (!isCovered(intervals, view, offset)) {
        if (end !== keptFrom || keptTo - offset > COPIED_BYTES) {
          this.#keep(keptFrom, keptTo);
          keptTo = end;
        }
        keptFrom = offset;
      }
      end = offset;
      if (--this.#untilCheck === 0) yield* this.#check();
    }
    this.#keep(keptFrom, keptTo);
  }

  #keep(from: number, to: number): void {
    if (from === to) return;
    this.#kept.append(to);
    this.#kept.append(from);
    this.#lengthBytes += to - from;
  }

  /** Lists the keys of the table in the intervals. Returns whether it has room for all rows. */
  *#findRecords(intervals: IntervalSet): Flow<boolean> {
    const view = this.#table.view();
    while (view.sortStep()) yield* this.#slices.rest();
    for (const interval of intervals.each()) {
      // Beginning a walk takes longer than some records.
      yield* this.#slices.rest();
      const walk = view.walk({ ...interval, reverse: false, limit: Infinity });
      for (let step = walk.stepSome(); step !== 'end'; step = walk.stepSome()) {
        if (step === 'record') {
          this.#deleted.append(walk.keyLow);
          this.#deleted.append(walk.keyHigh);
          this.#lengthBytes += ROW_HEADER_BYTES;
        }
        if (step === 'record' && --this.#untilCheck > 0) continue;
        if (!this.#table.hasRoomFor(this.#lengthBytes)) return false;
        yield* this.#check();
      }
    }
    return this.#table.hasRoomFor(this.#lengthBytes);
  }

  /** Writes a row for each key. Returns the offset behind the last. */
  *#writeDeletes(bytes: Uint8Array): Flow<number> {
    const keys = this.#deleted;
    const view = viewOf(bytes);
    let offset = 0;
    for (let at = 0; at < keys.length; at += 2) {
      writeDeleteRow(view, offset, keys.at(at), keys.at(at + 1));
      offset += ROW_HEADER_BYTES;
      if (at % (2 * CHECKED_ROWS) === 0) yield* this.#slices.rest();
    }
    return offset;
  }

  *#copyRows(bytes: Uint8Array, from: number): Flow<void> {
    const kept = this.#kept;
    let offset = from;
    for (let at = kept.length - 2; at >= 0; at -= 2) {
      const rows = this.#rows.subarray(kept.at(at + 1), kept.at(at));
      bytes.set(rows, offset);
      offset += rows.length;
      yield* this.#slices.rest();
    }
  }

  *#check(): Flow<void> {
    this.#untilCheck = CHECKED_ROWS;
    yield* this.#slices.rest();
  }
}

function isCovered(intervals: IntervalSet, view: DataView, offset: number): boolean {
  if (intervals.isEmpty) return false;
  const low = view.getUint32(offset + KEY_LOW, true);
  return intervals.has(low, view.getUint32(offset + KEY_HIGH, true));
}
