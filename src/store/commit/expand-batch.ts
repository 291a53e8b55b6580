import { viewOf } from '../../base/bytes.ts';
import type { Flow } from '../../base/flow.ts';
import { BatchTooLargeError, type StoreError } from '../../base/errors.ts';
import { MAX_DELTA_BYTES, ROW_HEADER_BYTES } from '../../base/limits.ts';
import type { KeyInterval } from '../../base/interval-set.ts';
import { partsOf } from '../../format/range-row.ts';
import { DATA_LENGTH, isDeleteRow, KEY_HIGH, KEY_LOW, writeDeleteRow } from '../../format/row.ts';
import { CHECKED_ROWS, WorkSlices, type Pacing } from '../../base/work-slices.ts';
import { PositionList } from '../../table/delta/position-list.ts';
import { U64Filter } from '../../table/layer/value-search.ts';
import type { Table } from '../../table/table.ts';
import type { View } from '../../table/view.ts';

/** Halves of keys, low half first. A list of one million keys is 8 MB. */
type KeyList = PositionList;

/** Rows of the batch, or keys that are deleted. */
type Piece = { readonly rows: Uint8Array } | { readonly deleted: KeyList };

/** Rows that each concern one key. */
interface ExpandedRows {
  /** In order. */
  readonly pieces: readonly Piece[];
  readonly lengthBytes: number;
}

/**
 * Begins to publish what a batch with deletes of intervals becomes in the table. Nothing is indexed
 * yet. Returns the error if the table has no room for it.
 */
export function* publishExpanded(
  table: Table,
  rows: Uint8Array,
  pacing: Pacing,
): Flow<StoreError | undefined> {
  const slices = new WorkSlices(pacing);
  const { pieces, lengthBytes } = yield* expandBatch(table, rows, slices);
  if (!table.hasRoomFor(lengthBytes)) {
    return new BatchTooLargeError(lengthBytes, MAX_DELTA_BYTES - table.liveBytes);
  }
  // A region is never empty.
  const region = table.reserve(Math.max(1, lengthBytes), 'uncounted');
  // Keys that an interval deletes were found in the table, if the batch itself has put none.
  const arePresent = pieces.every((piece) => 'deleted' in piece);
  table.beginPublish(region, lengthBytes, arePresent ? 'present' : 'any');
  let offset = 0;
  for (const piece of pieces) {
    if ('rows' in piece) {
      region.bytes.set(piece.rows, offset);
      offset += piece.rows.length;
      yield* slices.rest();
    } else offset = yield* writeDeletes(region.bytes, offset, piece.deleted, slices);
  }
  return undefined;
}

/** Writes a row for each key. Returns the offset behind the last. */
function* writeDeletes(
  bytes: Uint8Array,
  from: number,
  keys: KeyList,
  slices: WorkSlices,
): Flow<number> {
  const view = viewOf(bytes);
  let offset = from;
  for (let at = 0; at < keys.length; at += 2) {
    writeDeleteRow(view, offset, keys.at(at), keys.at(at + 1));
    offset += ROW_HEADER_BYTES;
    if (at % (2 * CHECKED_ROWS) === 0) yield* slices.rest();
  }
  return offset;
}

/**
 * The rows that a batch with deletes of intervals becomes in the table: a delete of an interval is
 * a delete of each key that the table, or an earlier row of the batch, has there. Exact only
 * between two groups, while nothing else changes the table.
 */
function expandBatch(table: Table, rows: Uint8Array, slices: WorkSlices): Flow<ExpandedRows> {
  return new BatchExpansion(table.view(), slices).run(rows);
}

class BatchExpansion {
  readonly #view: View;
  readonly #slices: WorkSlices;
  readonly #pieces: Piece[] = [];
  #lengthBytes = 0;
  /** Keys that the batch has put so far. */
  readonly #put: KeyList = new PositionList();
  #untilCheck = CHECKED_ROWS;

  constructor(view: View, slices: WorkSlices) {
    this.#view = view;
    this.#slices = slices;
  }

  *run(rows: Uint8Array): Flow<ExpandedRows> {
    while (this.#view.sortStep()) yield* this.#slices.rest();
    for (const part of partsOf(rows)) {
      if (part.kind === 'rows') yield* this.#addRows(part.rows);
      else yield* this.#addDeletes(part.interval);
    }
    return { pieces: this.#pieces, lengthBytes: this.#lengthBytes };
  }

  *#addRows(rows: Uint8Array): Flow<void> {
    this.#pieces.push({ rows });
    this.#lengthBytes += rows.length;
    const view = viewOf(rows);
    for (let offset = 0; offset < rows.length;) {
      if (!isDeleteRow(view, offset)) {
        const low = view.getUint32(offset + KEY_LOW, true);
        addKey(this.#put, low, view.getUint32(offset + KEY_HIGH, true));
      }
      offset += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
      if (--this.#untilCheck === 0) yield* this.#check();
    }
  }

  *#addDeletes(interval: KeyInterval): Flow<void> {
    const deleted: KeyList = new PositionList();
    const walk = this.#view.walk({ ...interval, reverse: false, limit: Infinity });
    for (let step = walk.stepSome(); step !== 'end'; step = walk.stepSome()) {
      if (step === 'record') addKey(deleted, walk.keyLow, walk.keyHigh);
      if (step === 'deletes' || --this.#untilCheck === 0) yield* this.#check();
    }
    const filter = new U64Filter(interval);
    for (let at = 0; at < this.#put.length; at += 2) {
      const low = this.#put.at(at);
      const high = this.#put.at(at + 1);
      if (filter.accepts(low, high)) addKey(deleted, low, high);
      if (--this.#untilCheck === 0) yield* this.#check();
    }
    this.#pieces.push({ deleted });
    this.#lengthBytes += (deleted.length / 2) * ROW_HEADER_BYTES;
  }

  *#check(): Flow<void> {
    this.#untilCheck = CHECKED_ROWS;
    yield* this.#slices.rest();
  }
}

function addKey(keys: KeyList, low: number, high: number): void {
  keys.append(low);
  keys.append(high);
}
