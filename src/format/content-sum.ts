import { hashRecord, recordHash } from './record-hash.ts';

const LANE = 0x1_0000_0000;

/** Whether a record is added to a sum or subtracted from it. */
export type Sign = 1 | -1;

/**
 * The content hash of a set of records: the sum of their hashes modulo 2^128. It does not depend on
 * their order, and records can be subtracted. The hash of no records is 0.
 */
export class ContentSum {
  /** Least significant lane first. */
  readonly #lanes: Uint32Array = new Uint32Array(4);

  constructor(value = 0n) {
    const halves = new BigUint64Array(this.#lanes.buffer);
    halves[0] = value;
    halves[1] = value >> 64n;
  }

  /** From 0 to 2^128-1. */
  get value(): bigint {
    const halves = new BigUint64Array(this.#lanes.buffer);
    return (halves[1]! << 64n) | halves[0]!;
  }

  /** Adds or subtracts a record with this key and value and the data `view[from, to)`. */
  countRecord(
    sign: Sign,
    keyLow: number,
    keyHigh: number,
    valueLow: number,
    valueHigh: number,
    view: DataView,
    from: number,
    to: number,
  ): void {
    hashRecord(keyLow, keyHigh, valueLow, valueHigh, view, from, to);
    this.#count(sign, recordHash);
  }

  add(other: ContentSum): void {
    this.#count(1, other.#lanes);
  }

  subtract(other: ContentSum): void {
    this.#count(-1, other.#lanes);
  }

  #count(sign: Sign, other: Uint32Array): void {
    const lanes = this.#lanes;
    let sum = lanes[0]! + sign * other[0]!;
    lanes[0] = sum;
    sum = lanes[1]! + sign * other[1]! + carryOf(sum);
    lanes[1] = sum;
    sum = lanes[2]! + sign * other[2]! + carryOf(sum);
    lanes[2] = sum;
    lanes[3] = lanes[3]! + sign * other[3]! + carryOf(sum);
  }
}

function carryOf(sum: number): number {
  if (sum >= LANE) return 1;
  return sum < 0 ? -1 : 0;
}

/** A content hash as users see it: 32 hexadecimal digits. */
export function contentHashText(value: bigint): string {
  return value.toString(16).padStart(32, '0');
}
