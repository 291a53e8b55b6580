import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { MAX_U64 } from '../../base/limits.ts';
import { checkU64 } from '../../base/u64.ts';

/** A range of keys and the order of iteration. Contradictory bounds match nothing. */
export interface RangeOptions {
  readonly gte?: bigint | number | undefined;
  readonly gt?: bigint | number | undefined;
  readonly lte?: bigint | number | undefined;
  readonly lt?: bigint | number | undefined;
  /** Descending keys. */
  readonly reverse?: boolean | undefined;
  /** Maximum number of records: a non-negative integer, or Infinity. */
  readonly limit?: number | undefined;
}

const RANGE_FIELDS: FieldsOf<RangeOptions> = {
  gte: true,
  gt: true,
  lte: true,
  lt: true,
  reverse: true,
  limit: true,
};

/** A checked range: `lowest` and `highest` belong to it; it is empty when they cross. */
export interface KeyRange {
  readonly lowest: bigint;
  readonly highest: bigint;
  readonly reverse: boolean;
  readonly limit: number;
}

/** Throws TypeError or RangeError, naming the option, for a wrong type or a value out of bounds. */
export function checkRange(options: RangeOptions = {}): KeyRange {
  requireKnownFields(options, RANGE_FIELDS, 'options');
  const { gte, gt, lte, lt, reverse = false, limit = Infinity } = options;
  let lowest = gte === undefined ? 0n : checkU64(gte, 'gte');
  let highest = lte === undefined ? MAX_U64 : checkU64(lte, 'lte');
  if (gt !== undefined) lowest = larger(lowest, checkU64(gt, 'gt') + 1n);
  if (lt !== undefined) highest = smaller(highest, checkU64(lt, 'lt') - 1n);
  if (typeof reverse !== 'boolean') {
    throw new TypeError(`reverse must be a boolean; it is ${describe(reverse)}`);
  }
  if (typeof limit !== 'number') {
    throw new TypeError(`limit must be a number; it is ${describe(limit)}`);
  }
  if (limit !== Infinity && (!Number.isSafeInteger(limit) || limit < 0)) {
    throw new RangeError(`limit must be a non-negative integer or Infinity; it is ${limit}`);
  }
  return { lowest, highest, reverse, limit };
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function describe(value: unknown): string {
  return value === null ? 'null' : `of type ${typeof value}`;
}
