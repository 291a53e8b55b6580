import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { ALL_KEYS, type KeyPrefix } from './key-prefix.ts';

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

/** Bounds of a range of keys. Contradictory bounds match nothing. */
export type BoundOptions = Pick<RangeOptions, 'gte' | 'gt' | 'lte' | 'lt'>;

const BOUND_FIELDS: FieldsOf<BoundOptions> = { gte: true, gt: true, lte: true, lt: true };

/** As `checkRange`, for calls that take bounds only. */
export function checkBounds(options: BoundOptions = {}, keys: KeyPrefix = ALL_KEYS): KeyRange {
  requireKnownFields(options, BOUND_FIELDS, 'options');
  return checkRange(options, keys);
}

/**
 * The interval of full keys that is to be deleted: it is empty where its ends cross.
 * @throws TypeError or RangeError that names the bound; TypeError where no bound is given
 */
export function checkInterval(
  options: BoundOptions,
  keys: KeyPrefix = ALL_KEYS,
): { readonly lowest: bigint; readonly highest: bigint } {
  requireKnownFields(options, BOUND_FIELDS, 'range');
  const { gte, gt, lte, lt } = options;
  if (gte === undefined && gt === undefined && lte === undefined && lt === undefined) {
    throw new TypeError('range must have a bound; { gte: 0 } is all keys');
  }
  const { lowest, highest } = checkRange({ gte, gt, lte, lt }, keys);
  return { lowest, highest };
}

/** A validated range. `lowest` and `highest` are inclusive; if they cross, the range is empty. */
export interface KeyRange {
  /** Full keys. */
  readonly lowest: bigint;
  readonly highest: bigint;
  readonly reverse: boolean;
  readonly limit: number;
}

/**
 * Converts options, whose bounds are short keys of `keys`, to a range of full keys. Throws
 * TypeError or RangeError that names the option if its type or value is invalid.
 */
export function checkRange(options: RangeOptions = {}, keys: KeyPrefix = ALL_KEYS): KeyRange {
  requireKnownFields(options, RANGE_FIELDS, 'options');
  const { gte, gt, lte, lt, reverse = false, limit = Infinity } = options;
  let lowest = gte === undefined ? keys.first : keys.toFull(gte, 'gte');
  let highest = lte === undefined ? keys.last : keys.toFull(lte, 'lte');
  if (gt !== undefined) lowest = larger(lowest, keys.toFull(gt, 'gt') + 1n);
  if (lt !== undefined) highest = smaller(highest, keys.toFull(lt, 'lt') - 1n);
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
