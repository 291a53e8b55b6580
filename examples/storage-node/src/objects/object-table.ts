import { NodeError } from '../node-errors.ts';
import { keyOf, lowerOf } from '../ledger/keys.ts';
import type { Turn } from '../ledger/publisher.ts';
import type { StoredRecord } from '../ledger/stored-record.ts';
import type { NameHash } from '../names/name-hash.ts';
import { displacementOf, markOf, withDisplacement } from './object-entry.ts';

/** Maximum number of objects whose hashes share a home. They occupy the keys after it. */
const SLOTS = 8;

const HOME_MASK = (1n << 60n) - 1n;

export interface FoundObject {
  readonly key: bigint;
  readonly handle: bigint;
  readonly data: Uint8Array;
}

function slotKey(home: bigint, step: number): bigint {
  return keyOf('object', step === 0 ? home : (home + BigInt(step)) & HOME_MASK);
}

/**
 * Linear probing: an object is at the first key after its home that was free, with no free key in
 * between. A look-up ends at the first free key: for most names, old or new, that is one key.
 */
export function findObject(
  get: (key: bigint) => StoredRecord | undefined,
  hash: NameHash,
): FoundObject | undefined {
  for (let step = 0; step < SLOTS; step++) {
    const key = slotKey(hash.home, step);
    const record = get(key);
    if (record === undefined) return undefined;
    if (markOf(record.data) === hash.mark && displacementOf(record.data) === step) {
      return { key, handle: record.value, data: record.data };
    }
  }
  return undefined;
}

/** The key of the object whose record `handle` leads to; `home`: of its name's hash. */
export function keyOfHandle(
  valueOf: (key: bigint) => bigint | undefined,
  home: bigint,
  handle: bigint,
): bigint | undefined {
  for (let step = 0; step < SLOTS; step++) {
    const key = slotKey(home, step);
    const value = valueOf(key);
    if (value === undefined) return undefined;
    if (value === handle) return key;
  }
  return undefined;
}

/** Publishes an object that `findObject` does not find. @throws NodeError `BAD_NAME` */
export function insertObject(
  turn: Turn,
  hash: NameHash,
  handle: bigint,
  encode: (displacement: number) => Uint8Array,
): void {
  for (let step = 0; step < SLOTS; step++) {
    const key = slotKey(hash.home, step);
    if (turn.get(key) !== undefined) continue;
    turn.put(key, handle, encode(step));
    return;
  }
  throw new NodeError('BAD_NAME', `${SLOTS} names with this hash are stored already`);
}

/** Removes an object, and moves up those that follow it because of it. */
export function removeObject(turn: Turn, key: bigint): void {
  let hole = lowerOf(key);
  for (let step = 1; step < SLOTS; step++) {
    const from = keyOf('object', (hole + BigInt(step)) & HOME_MASK);
    const record = turn.get(from);
    if (record === undefined) break;
    const displacement = displacementOf(record.data);
    if (displacement < step) continue;
    turn.put(
      keyOf('object', hole),
      record.value,
      withDisplacement(record.data, displacement - step),
    );
    hole = lowerOf(from);
    step = 0;
  }
  turn.delete(keyOf('object', hole));
}
