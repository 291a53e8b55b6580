import { splitU64, u64Halves } from '../../base/u64.ts';

/**
 * What must hold of an update's key before its batch for the batch to be applied. At most one of the two;
 * without either there is no condition.
 */
export interface Condition {
  /** There is a record, and this is its value. */
  readonly ifValue?: bigint | number | undefined;
  /** There is no record. `false` asks nothing. */
  readonly ifAbsent?: boolean | undefined;
}

/**
 * Leaves the value that the condition asks for in `u64Halves`, 0 for no record. False when it asks nothing.
 * @throws TypeError or RangeError that names what is wrong
 */
export function splitCondition(condition: Condition): boolean {
  if (typeof condition !== 'object' || condition === null) {
    throw new TypeError('a condition must be { ifValue } or { ifAbsent: true }');
  }
  const { ifValue, ifAbsent } = condition;
  if (ifAbsent !== undefined && typeof ifAbsent !== 'boolean') {
    throw new TypeError('ifAbsent must be a boolean');
  }
  if (ifValue === undefined) {
    if (ifAbsent !== true) return false;
    splitU64(0, 'ifAbsent');
    return true;
  }
  if (ifAbsent === true) throw new TypeError('ifValue and ifAbsent exclude each other');
  splitU64(ifValue, 'ifValue');
  if (u64Halves[0] === 0 && u64Halves[1] === 0) {
    throw new RangeError(
      'ifValue must not be 0: a key without a record is asked for with ifAbsent',
    );
  }
  return true;
}
