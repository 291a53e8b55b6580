import { viewOf } from '../../base/bytes.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { rowLengthAt } from '../../format/group-rows.ts';
import { intervalAt, isRangeRow } from '../../format/range-row.ts';
import type { LogGroup } from '../../log/log-reader.ts';
import { KEY_LOW, VALUE_LOW } from '../../format/row.ts';

/** One update of a committed batch, in a form that `insertBatch` accepts. */
export type ChangeUpdate =
  | {
      readonly type: 'put';
      readonly key: bigint;
      readonly value: bigint;
      /** A copy. */
      readonly data: Uint8Array;
    }
  | { readonly type: 'del'; readonly key: bigint }
  /** All records with keys from `gte` to `lte` are deleted. */
  | { readonly type: 'deleteRange'; readonly gte: bigint; readonly lte: bigint };

/** One committed batch. */
export interface Change {
  /** The batch's sequence number, which is the position after it. */
  readonly sequence: bigint;
  /** Number of updates in the batch. */
  readonly size: number;
  /** Bytes of its encoded rows: 20 per update plus the data; 28 for a deleted range. */
  readonly byteLength: number;
  /**
   * The updates in their original order. They are decoded lazily and can be iterated repeatedly.
   */
  readonly updates: Iterable<ChangeUpdate>;
}

class PackedChange implements Change {
  readonly sequence: bigint;
  readonly size: number;
  readonly updates: Iterable<ChangeUpdate>;
  readonly byteLength: number;

  constructor(sequence: bigint, rows: Uint8Array, size: number) {
    this.sequence = sequence;
    this.size = size;
    this.byteLength = rows.length;
    this.updates = { [Symbol.iterator]: () => updatesOf(rows) };
  }
}

function* updatesOf(rows: Uint8Array): Generator<ChangeUpdate, void, void> {
  const view = viewOf(rows);
  for (let offset = 0; offset < rows.length;) {
    const key = view.getBigUint64(offset + KEY_LOW, true);
    const value = view.getBigUint64(offset + VALUE_LOW, true);
    const end = offset + rowLengthAt(view, offset);
    // Copied, so that a retained record does not keep the whole group in memory.
    if (isRangeRow(view, offset)) {
      const { lowest, highest } = intervalAt(view, offset);
      yield { type: 'deleteRange', gte: lowest, lte: highest };
    } else if (value === 0n) yield { type: 'del', key };
    else yield { type: 'put', key, value, data: rows.slice(offset + ROW_HEADER_BYTES, end) };
    offset = end;
  }
}

/** The batches of a group after position `after`, in order. */
export function* changesOf(group: LogGroup, after: bigint): Generator<Change, void, void> {
  const { rows, batchRecordCounts } = group;
  const view = viewOf(rows);
  let offset = 0;
  let sequence = group.firstSequence;
  for (const count of batchRecordCounts) {
    const start = offset;
    for (let i = 0; i < count; i++) offset += rowLengthAt(view, offset);
    if (sequence > after) yield new PackedChange(sequence, rows.subarray(start, offset), count);
    sequence++;
  }
}
