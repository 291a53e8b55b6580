import { hashRecord, recordHash } from './record-hash.ts';

const LANE = 0x1_0000_0000;

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

  /** Adds a record with this key and value and the data `view[from, to)`. */
  addRecord(
    keyLow: number,
    keyHigh: number,
    valueLow: number,
    valueHigh: number,
    view: DataView,
    from: number,
    to: number,
  ): void {
    hashRecord(keyLow, keyHigh, valueLow, valueHigh, view, from, to);
    this.#add(recordHash);
  }

  /** Subtracts a record that {@link addRecord} added. */
  subtractRecord(
    keyLow: number,
    keyHigh: number,
    valueLow: number,
    valueHigh: number,
    view: DataView,
    from: number,
    to: number,
  ): void {
    hashRecord(keyLow, keyHigh, valueLow, valueHigh, view, from, to);
    this.#subtract(recordHash);
  }

  add(other: ContentSum): void {
    this.#add(other.#lanes);
  }

  subtract(other: ContentSum): void {
    this.#subtract(other.#lanes);
  }

  #add(other: Uint32Array): void {
    const lanes = this.#lanes;
    let sum = lanes[0]! + other[0]!;
    lanes[0] = sum;
    sum = lanes[1]! + other[1]! + (sum >= LANE ? 1 : 0);
    lanes[1] = sum;
    sum = lanes[2]! + other[2]! + (sum >= LANE ? 1 : 0);
    lanes[2] = sum;
    lanes[3] = lanes[3]! + other[3]! + (sum >= LANE ? 1 : 0);
  }

  #subtract(other: Uint32Array): void {
    const lanes = this.#lanes;
    let difference = lanes[0]! - other[0]!;
    lanes[0] = difference;
    difference = lanes[1]! - other[1]! - (difference < 0 ? 1 : 0);
    lanes[1] = difference;
    difference = lanes[2]! - other[2]! - (difference < 0 ? 1 : 0);
    lanes[2] = difference;
    lanes[3] = lanes[3]! - other[3]! - (difference < 0 ? 1 : 0);
  }
}

/** A content hash as users see it: 32 hexadecimal digits. */
export function contentHashText(value: bigint): string {
  return value.toString(16).padStart(32, '0');
}
