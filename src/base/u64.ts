import { MAX_U64 } from './limits.ts';

const scratch64 = new BigUint64Array(1);

/**
 * Low and high half of the last {@link splitU64}. Every split overwrites them, so read both before
 * the next one. (`bytes.ts` asserts that the machine is little-endian.)
 */
export const u64Halves: Uint32Array = new Uint32Array(scratch64.buffer);

/**
 * Writes the halves of `value`, a bigint in u64 or a safe non-negative integer, to {@link
 * u64Halves}. `name` is the argument's name in errors.
 */
export function splitU64(value: bigint | number, name: string): void {
  if (typeof value === 'bigint') {
    // `asUintN` only compares. Comparing with the array's content would allocate a bigint.
    if (BigInt.asUintN(64, value) !== value) refuse(value, name);
    scratch64[0] = value;
  } else {
    if (!Number.isSafeInteger(value) || value < 0) refuse(value, name);
    u64Halves[0] = value;
    u64Halves[1] = value / 0x1_0000_0000;
  }
}

/** Joins two u32 halves. Overwrites {@link u64Halves}. */
export function joinU64(low: number, high: number): bigint {
  u64Halves[0] = low;
  u64Halves[1] = high;
  return scratch64[0]!;
}

/** Joins the current content of {@link u64Halves}. */
export function joinedHalves(): bigint {
  return scratch64[0]!;
}

/** Returns `value` as a bigint. Throws like {@link splitU64}. */
export function checkU64(value: bigint | number, name: string): bigint {
  splitU64(value, name);
  return scratch64[0]!;
}

/** Compares u64 a and b, given in u32 halves. Returns a negative number, 0 or a positive number. */
export function compareU64(aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  return aHigh === bHigh ? aLow - bLow : aHigh - bHigh;
}

function refuse(value: unknown, name: string): never {
  const bound = `a bigint from 0 to ${MAX_U64}, or a number that is an integer from 0 to ${Number.MAX_SAFE_INTEGER}`;
  if (typeof value === 'bigint' || typeof value === 'number') {
    throw new RangeError(`${name} must be ${bound}; it is ${value}`);
  }
  throw new TypeError(`${name} must be ${bound}; it is of type ${typeof value}`);
}
