import { isBytes, viewOf } from '../../base/bytes.ts';
import { joinU64 } from '../../base/u64.ts';
import { intervalAt, isRangeRow } from '../../format/range-row.ts';
import { DATA, isDeleteRow, KEY_LOW, U64_HIGH, VALUE_LOW } from '../../format/row.ts';
import { countRows, rowLengthAt } from '../../format/group-rows.ts';
import type { Condition, Demand } from './condition.ts';
import { HAND_OVER, WriteBatch, type HandedOver } from './write-batch.ts';

/** A `WriteBatch` of another class, from a second copy of this package or another realm. */
interface ForeignBatch {
  [HAND_OVER](): HandedOver;
}

export function isForeignBatch(source: object): source is ForeignBatch {
  return typeof (source as Partial<ForeignBatch>)[HAND_OVER] === 'function';
}

/**
 * Copies a batch of another copy of this package. Its rows are validated like a caller's updates.
 *
 * @throws TypeError, RangeError, BatchTooLargeError
 */
export function takeOver(source: ForeignBatch): WriteBatch {
  const { rows, demands } = source[HAND_OVER]();
  if (!isBytes(rows) || countRows(rows, 'with-intervals') < 0)
    throw new TypeError('the batch was made by another version of lodestore');
  const conditions = conditionsOf(demands);
  const view = viewOf(rows);
  const batch = new WriteBatch();
  for (let offset = 0; offset < rows.length; offset += rowLengthAt(view, offset)) {
    const condition = conditions.get(batch.size);
    const key = u64At(view, offset + KEY_LOW);
    if (isRangeRow(view, offset)) {
      const { lowest, highest } = intervalAt(view, offset);
      batch.deleteRange({ gte: lowest, lte: highest });
    } else if (isDeleteRow(view, offset)) batch.delete(key, condition);
    else {
      const data = rows.subarray(offset + DATA, offset + rowLengthAt(view, offset));
      batch.put(key, u64At(view, offset + VALUE_LOW), data, condition);
    }
  }
  return batch;
}

/** The u64 whose low half is at `offset`. */
function u64At(view: DataView, offset: number): bigint {
  return joinU64(view.getUint32(offset, true), view.getUint32(offset + U64_HIGH, true));
}

/** Conditions by index of the update. */
function conditionsOf(demands: HandedOver['demands']): Map<number, Condition> {
  const conditions = new Map<number, Condition>();
  for (const [index, demand] of demands) {
    conditions.set(index, { ...conditions.get(index), ...askedBy(demand) });
  }
  return conditions;
}

function askedBy(demand: Demand): Condition {
  switch (demand.kind) {
    case 'ifAbsent':
      return { ifAbsent: true };
    case 'ifValue':
      return { ifValue: demand.allowed };
    case 'ifData':
      return { ifData: demand.data };
    case 'ifNewer':
      return { ifNewer: true };
  }
}
