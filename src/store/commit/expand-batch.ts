import { viewOf } from '../../base/bytes.ts';
import { waited, type Flow } from '../../base/flow.ts';
import { BatchTooLargeError, type StoreError } from '../../base/errors.ts';
import { MAX_DELTA_BYTES, ROW_HEADER_BYTES } from '../../base/limits.ts';
import { splitU64, u64Halves } from '../../base/u64.ts';
import { partsOf, type KeyInterval } from '../../format/range-row.ts';
import { DATA_LENGTH, isDeleteRow, KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import type { Pause } from '../../log/group-encoder.ts';
import { DeleteRows } from '../../runs/interval-deletes.ts';
import { U64Filter } from '../../table/layer/value-search.ts';
import type { Table } from '../../table/table.ts';
import type { View } from '../../table/view.ts';

/** Keys looked at before the event loop is looked after again: about half a millisecond. */
const SLICE_KEYS = 2_048;

/** Rows that each concern one key. */
interface ExpandedRows {
  /** In order. */
  readonly pieces: readonly Uint8Array[];
  readonly lengthBytes: number;
}

/**
 * Begins to publish what a batch with deletes of intervals becomes in the table. Nothing is indexed
 * yet. Returns the error if the table has no room for it.
 */
export function* publishExpanded(
  table: Table,
  rows: Uint8Array,
  pause: Pause,
): Flow<StoreError | undefined> {
  const { pieces, lengthBytes } = yield* expandBatch(table, rows, pause);
  if (!table.hasRoomFor(lengthBytes)) {
    return new BatchTooLargeError(lengthBytes, MAX_DELTA_BYTES - table.liveBytes);
  }
  // A region is never empty.
  const region = table.reserve(Math.max(1, lengthBytes));
  table.beginPublish(region, lengthBytes);
  let offset = 0;
  for (const piece of pieces) {
    region.bytes.set(piece, offset);
    offset += piece.length;
    yield* waited(pause?.());
  }
  return undefined;
}

/**
 * The rows that a batch with deletes of intervals becomes in the table: a delete of an interval is
 * a delete of each key that the table, or an earlier row of the batch, has there. Exact only
 * between two groups, while nothing else changes the table.
 */
function expandBatch(table: Table, rows: Uint8Array, pause: Pause): Flow<ExpandedRows> {
  return new BatchExpansion(table.view(), pause).run(rows);
}

class BatchExpansion {
  readonly #view: View;
  readonly #pause: Pause;
  readonly #pieces: Uint8Array[] = [];
  #lengthBytes = 0;
  /** Halves of the keys that the batch has put so far. */
  readonly #put: number[] = [];
  #untilPause = SLICE_KEYS;

  constructor(view: View, pause: Pause) {
    this.#view = view;
    this.#pause = pause;
  }

  *run(rows: Uint8Array): Flow<ExpandedRows> {
    while (this.#view.sortStep()) yield* waited(this.#pause?.());
    for (const part of partsOf(rows)) {
      if (part.kind === 'rows') yield* this.#addRows(part.rows);
      else yield* this.#addDeletes(part.interval);
    }
    return { pieces: this.#pieces, lengthBytes: this.#lengthBytes };
  }

  *#addRows(rows: Uint8Array): Flow<void> {
    this.#take(rows);
    const view = viewOf(rows);
    for (let offset = 0; offset < rows.length;) {
      if (!isDeleteRow(view, offset)) {
        this.#put.push(view.getUint32(offset + KEY_LOW, true));
        this.#put.push(view.getUint32(offset + KEY_HIGH, true));
      }
      offset += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
      yield* this.#rest();
    }
  }

  *#addDeletes(interval: KeyInterval): Flow<void> {
    const deletes = new DeleteRows((rows) => this.#take(rows));
    const walk = this.#view.walk({ ...interval, reverse: false, limit: Infinity });
    for (let step = walk.stepSome(); step !== 'end'; step = walk.stepSome()) {
      if (step === 'record') {
        splitU64(walk.key(), 'key');
        deletes.add(u64Halves[0]!, u64Halves[1]!);
      }
      yield* this.#rest();
    }
    const filter = new U64Filter(interval);
    for (let at = 0; at < this.#put.length; at += 2) {
      const low = this.#put[at]!;
      const high = this.#put[at + 1]!;
      if (filter.accepts(low, high)) deletes.add(low, high);
      yield* this.#rest();
    }
    deletes.flush();
  }

  #take(rows: Uint8Array): void {
    this.#pieces.push(rows.slice());
    this.#lengthBytes += rows.length;
  }

  *#rest(): Flow<void> {
    if (--this.#untilPause > 0) return;
    this.#untilPause = SLICE_KEYS;
    yield* waited(this.#pause?.());
  }
}
