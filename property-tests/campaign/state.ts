import type { MetadataStore, Update } from '../../src/index.ts';
import { Violation } from './violation.ts';

/**
 * One update of a program. Size -1 deletes the key, -2 deletes it and the next of KEYS as one
 * range, and so on.
 */
export interface Op {
  /** Index into KEYS. */
  readonly key: number;
  /** Bytes of data, at most 65,535. */
  readonly size: number;
}

/** Keys of all programs: adjacent ones, gaps, and both ends of u64. */
export const KEYS: readonly bigint[] = [
  ...Array.from({ length: 12 }, (_, i) => BigInt(i)),
  0x1_0000_0000n,
  0x1_0000_0001n,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
];

/** A separate key for checks that write after a program. */
export const PROBE_KEY = 0x7777_7777n;

const INDEX_OF_KEY = new Map([...KEYS, PROBE_KEY].map((key, index) => [key, index]));

/** Maps the index of a key to its value. Values are unique and determine the data. */
export type State = ReadonlyMap<number, number>;

const SIZE_RANGE = 65_536;
const dataByValue = new Map<number, Uint8Array>();

/** The value of the update number `serial` of a program. Serials start at 1. */
export function valueOf(serial: number, size: number): number {
  return serial * SIZE_RANGE + size;
}

/** Data of this length always compress well, so they fill memory sooner than logs. */
export const HOT_BYTES = 9_000;

/** Half of the values have data that compresses well; the others have noise. */
export function dataOf(value: number): Uint8Array {
  let data = dataByValue.get(value);
  if (data !== undefined) return data;
  const serial = Math.floor(value / SIZE_RANGE);
  data = new Uint8Array(value % SIZE_RANGE);
  const isPlain = serial % 2 === 0 || data.length === HOT_BYTES;
  let noise = Math.imul(serial, 0x9e37_79b1) | 1;
  for (let i = 0; i < data.length; i++) {
    noise ^= noise << 13;
    noise ^= noise >>> 17;
    noise ^= noise << 5;
    data[i] = isPlain ? serial + (i >> 4) : noise;
  }
  if (dataByValue.size > 10_000) dataByValue.clear();
  dataByValue.set(value, data);
  return data;
}

export function toUpdates(changes: readonly Change[]): Update[] {
  return changes.map(({ key, value, to }) => {
    if (to !== undefined) return { type: 'deleteRange', gte: KEYS[key]!, lte: KEYS[to]! };
    return value === 0
      ? { type: 'del', key: KEYS[key]! }
      : { type: 'put', key: KEYS[key]!, value, data: dataOf(value) };
  });
}

/** An update with its value. 0 deletes the key, or all keys from it up to the key `to`. */
export interface Change {
  readonly key: number;
  readonly value: number;
  readonly to?: number | undefined;
}

export function changeOf({ key, size }: Op, serial: () => number): Change {
  if (size >= 0) return { key, value: valueOf(serial(), size) };
  if (size === -1) return { key, value: 0 };
  return { key, value: 0, to: Math.min(key - size - 1, KEYS.length - 1) };
}

export function applyChanges(state: State, changes: readonly Change[]): State {
  const next = new Map(state);
  for (const { key, value, to } of changes) {
    if (value !== 0) next.set(key, value);
    else if (to === undefined) next.delete(key);
    else for (const one of next.keys()) if (isBetween(one, key, to)) next.delete(one);
  }
  return next;
}

/** Computes 53-bit digests of states. */
export class Digester {
  #a = 0x1b87_3593;
  #b = 0x85eb_ca6b | 0;

  add(key: number, value: number): void {
    const low = value | 0;
    const high = Math.floor(value / 0x1_0000_0000);
    this.#a = Math.imul(this.#a ^ key ^ low, 0x0100_0193);
    this.#a ^= this.#a >>> 15;
    this.#b = Math.imul(this.#b + low, 0x2c1b_3c6d) ^ (this.#b >>> 13) ^ high;
  }

  get digest(): number {
    return ((this.#a ^ (this.#a >>> 11)) & 0x1f_ffff) * 0x1_0000_0000 + (this.#b >>> 0);
  }
}

export function digestOf(state: State): number {
  const digester = new Digester();
  for (const [key, value] of [...state].sort(([a], [b]) => compareKeys(a, b))) {
    digester.add(key, value);
  }
  return digester.digest;
}

const ALL_KEYS: readonly bigint[] = [...KEYS, PROBE_KEY];

function isBetween(key: number, from: number, to: number): boolean {
  return compareKeys(from, key) <= 0 && compareKeys(key, to) <= 0;
}

function compareKeys(a: number, b: number): number {
  if (a === b) return 0;
  const left = ALL_KEYS[a]!;
  const right = ALL_KEYS[b]!;
  return left < right ? -1 : Number(left > right);
}

/** Reads a whole store. Throws a violation if no program can have written a record. */
export function readState(store: MetadataStore): Map<number, number> {
  const state = new Map<number, number>();
  for (const [key, record] of store.entries()) {
    const index = INDEX_OF_KEY.get(key);
    if (index === undefined) throw new Violation('I4', `key ${key} was never written`);
    const value = Number(record.value);
    if (
      value % SIZE_RANGE !== record.data.length ||
      Buffer.compare(dataOf(value), record.data) !== 0
    ) {
      throw new Violation('I4', `the data of key ${key} is not what was written with its value`);
    }
    state.set(index, value);
  }
  if (store.size !== state.size) {
    throw new Violation('I4', `size says ${store.size} where ${state.size} records are`);
  }
  return state;
}

/** A state as text, for the report of a failing run. */
export function describeState(state: State): string {
  const told = [...state].map(([key, value]) => {
    return `${ALL_KEYS[key]}=#${Math.floor(value / SIZE_RANGE)}+${value % SIZE_RANGE}`;
  });
  return `{${told.join(' ')}}`;
}
