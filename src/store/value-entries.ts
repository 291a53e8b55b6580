import { checkRange, type RangeOptions } from '../table/layer/key-range.ts';
import { requireKnownFields, type FieldsOf } from '../base/fields.ts';
import type { TableRecord } from '../table/layer/table-record.ts';
import type { KeyPrefix } from '../table/layer/key-prefix.ts';
import type { Records } from '../table/view.ts';
import type { ValueScan } from '../table/scan/value-scan.ts';
import { Slices, type SliceHooks } from './slices.ts';

/** A range of values. Contradictory bounds match nothing. */
export interface ValueRangeOptions {
  readonly gte?: bigint | number | undefined;
  readonly gt?: bigint | number | undefined;
  readonly lte?: bigint | number | undefined;
  readonly lt?: bigint | number | undefined;
  /** Maximum number of records, in no particular order: a non-negative integer, or Infinity. */
  readonly limit?: number | undefined;
  /** Ends the iteration with an AbortedError. */
  readonly signal?: AbortSignal | undefined;
}

const VALUE_RANGE_FIELDS: FieldsOf<ValueRangeOptions> = {
  gte: true,
  gt: true,
  lte: true,
  lt: true,
  limit: true,
  signal: true,
};

/**
 * Iterates over the records of `keys`, or all, with a value in a range. Invalid options throw
 * TypeError or RangeError at once, an aborted signal AbortedError.
 */
export function entriesByValue(
  records: Records,
  options: ValueRangeOptions,
  keys: KeyPrefix | undefined,
  hooks: Omit<SliceHooks, 'signal'>,
): AsyncIterableIterator<[bigint, TableRecord]> {
  if ((options as RangeOptions | null)?.reverse !== undefined) {
    throw new TypeError('reverse is not an option of entriesByValue');
  }
  requireKnownFields(options, VALUE_RANGE_FIELDS, 'options');
  const { gte, gt, lte, lt } = options;
  const { lowest, highest, limit } = checkRange({ gte, gt, lte, lt, limit: options.limit });
  const slices = new Slices('reading records by value', { ...hooks, signal: options.signal });
  // No record has the value 0.
  const scan = records.view().scanValues({ lowest: lowest === 0n ? 1n : lowest, highest }, keys);
  return iterate(scan, limit, slices);
}

async function* iterate(
  scan: ValueScan,
  limit: number,
  slices: Slices,
): AsyncGenerator<[bigint, TableRecord], void, undefined> {
  let left = limit;
  if (left === 0) return;
  for (let found = scan.step(); found !== undefined; found = scan.step()) {
    for (const entry of found) {
      slices.check();
      yield entry;
      if (--left === 0) return;
    }
    if (slices.isOver) await slices.next();
  }
}
