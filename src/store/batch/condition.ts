import { splitU64, u64Halves } from '../../base/u64.ts';

/**
 * A condition on the key of an update, evaluated on the state before its batch. At most one of the
 * two may be set; without either there is no condition.
 */
export interface Condition {
  /** The key has a record with this value. */
  readonly ifValue?: bigint | number | undefined;
  /** The key has no record. `false` is no condition. */
  readonly ifAbsent?: boolean | undefined;
}

/**
 * Leaves the value that the condition asks for in `u64Halves`, 0 for no record. False when it asks
 * nothing.
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
    throw new RangeError('ifValue must not be 0; use ifAbsent for a key without a record');
  }
  return true;
}
