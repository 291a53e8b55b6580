import type { ByteName } from './byte-name.ts';

/**
 * The names of a leaf, front-coded: for each name, the length of the prefix shared with the
 * preceding name, and the rest. Ascending and unique.
 */
export function encodeLeaf(names: readonly ByteName[]): Buffer {
  let capacity = 8;
  for (const name of names) capacity += name.length + 4;
  const bytes = Buffer.allocUnsafe(capacity);
  let at = writeVarint(bytes, names.length, 0);
  let before = '';
  for (const name of names) {
    const shared = sharedLength(before, name);
    at = writeVarint(bytes, shared, at);
    at = writeVarint(bytes, name.length - shared, at);
    for (let i = shared; i < name.length; i++) bytes[at++] = name.charCodeAt(i);
    before = name;
  }
  return bytes.subarray(0, at);
}

/** @throws RangeError if the bytes are not a leaf */
export function decodeLeaf(bytes: Buffer): ByteName[] {
  const reader = { bytes, at: 0 };
  const count = readVarint(reader);
  if (count > bytes.length) throw new RangeError('a leaf with more names than bytes');
  const names: ByteName[] = [];
  const name = Buffer.allocUnsafe(2_048);
  let length = 0;
  for (let i = 0; i < count; i++) {
    const shared = readVarint(reader);
    const rest = readVarint(reader);
    if (shared > length || shared + rest > name.length || reader.at + rest > bytes.length) {
      throw new RangeError('a truncated name');
    }
    bytes.copy(name, shared, reader.at, reader.at + rest);
    reader.at += rest;
    length = shared + rest;
    names.push(name.toString('latin1', 0, length));
  }
  return names;
}

function sharedLength(one: ByteName, other: ByteName): number {
  const most = Math.min(one.length, other.length);
  let i = 0;
  while (i < most && one.charCodeAt(i) === other.charCodeAt(i)) i++;
  return i;
}

function writeVarint(bytes: Buffer, value: number, at: number): number {
  let rest = value;
  let to = at;
  while (rest >= 0x80) {
    bytes[to++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[to++] = rest;
  return to;
}

function readVarint(reader: { readonly bytes: Buffer; at: number }): number {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = reader.bytes[reader.at++];
    if (byte === undefined) throw new RangeError('a truncated leaf');
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw new RangeError('a number that does not end');
}

/** One change of the names of a leaf. */
export interface NameDelta {
  readonly name: ByteName;
  readonly isThere: boolean;
}

/** The names after applying `deltas` in order. */
export function applyDeltas(
  names: readonly ByteName[],
  deltas: readonly NameDelta[],
): readonly ByteName[] {
  if (deltas.length === 0) return names;
  const last = new Map<ByteName, boolean>();
  for (const { name, isThere } of deltas) last.set(name, isThere);
  const changed = [...last.keys()].sort(compareByteNames);
  const result: ByteName[] = [];
  let i = 0;
  for (const name of changed) {
    while (i < names.length && names[i]! < name) result.push(names[i++]!);
    if (names[i] === name) i++;
    if (last.get(name) === true) result.push(name);
  }
  while (i < names.length) result.push(names[i++]!);
  return result;
}

export function compareByteNames(one: ByteName, other: ByteName): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
