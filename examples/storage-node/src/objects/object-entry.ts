import { NodeError } from '../node-errors.ts';
import { ByteWriter } from '../ledger/byte-writer.ts';
import { MOST_TIME_MS } from '../ledger/node-record.ts';

/**
 * What lodestore has of an object, besides the handle of its record. About 30 bytes; a hundred
 * million of them are in memory.
 */
export interface ObjectEntry {
  /** Steps from the home of its hash to its key. */
  readonly displacement: number;
  readonly mark: number;
  readonly modifiedMs: number;
  /** Without quotes. */
  readonly etag: string;
  readonly sizeBytes: number;
  /** Length of its record in the volume. */
  readonly lengthBytes: number;
  /** The content record, for an object whose body is in extents. */
  readonly content: number | undefined;
}

const EXTENTS = 1;
const PARTS = 2;
/** The stored body is shorter than the body. */
const SMALLER = 4;
const MARK_AT = 1;
const TIME_AT = 6;
const ETAG_AT = 11;
const ETAG_BYTES = 16;
const FIXED_BYTES = ETAG_AT + ETAG_BYTES;
const ETAG = /^([0-9a-f]{32})(?:-(\d{1,5}))?$/;

/** Length of a record in units of 8, as stored here without the body: mostly one byte. */
function unitsOf(entry: ObjectEntry): { readonly units: number; readonly isSmaller: boolean } {
  const units = entry.lengthBytes / 8;
  if (entry.content !== undefined) return { units, isSmaller: false };
  const bodyUnits = Math.floor(entry.sizeBytes / 8);
  return units < bodyUnits
    ? { units, isSmaller: true }
    : { units: units - bodyUnits, isSmaller: false };
}

/** @throws NodeError `BAD_ETAG` */
export function checkedEtag(etag: string): { readonly hex: string; readonly parts?: string } {
  const [, hex, parts] = ETAG.exec(etag) ?? [];
  if (hex === undefined) {
    throw new NodeError('BAD_ETAG', 'an ETag must be 32 hexadecimal digits, then -N for N parts');
  }
  return { hex, ...(parts !== undefined && { parts }) };
}

/** @throws NodeError `BAD_ETAG` */
export function encodeEntry(entry: ObjectEntry, epochMs: number): Buffer {
  const { hex, parts } = checkedEtag(entry.etag);
  const { units, isSmaller } = unitsOf(entry);
  const fixed = Buffer.allocUnsafe(FIXED_BYTES);
  fixed[0] =
    (entry.content === undefined ? 0 : EXTENTS) |
    (parts === undefined ? 0 : PARTS) |
    (isSmaller ? SMALLER : 0) |
    (entry.displacement << 4);
  fixed.writeUIntLE(entry.mark, MARK_AT, 5);
  // A clock may be wrong by decades.
  const timeMs = Math.min(Math.max(0, entry.modifiedMs - epochMs), MOST_TIME_MS);
  fixed.writeUIntLE(timeMs, TIME_AT, 5);
  fixed.write(hex, ETAG_AT, 'hex');
  const writer = new ByteWriter(FIXED_BYTES + 16)
    .bytes(fixed)
    .number(entry.sizeBytes)
    .number(units);
  if (parts !== undefined) writer.number(Number(parts));
  if (entry.content !== undefined) writer.number(entry.content);
  return writer.end();
}

export function markOf(data: Uint8Array): number {
  return fiveBytesAt(data, MARK_AT);
}

export function displacementOf(data: Uint8Array): number {
  return data[0]! >> 4;
}

/** The same entry with another number of steps from its home. */
export function withDisplacement(data: Uint8Array, displacement: number): Uint8Array {
  const changed = Uint8Array.from(data);
  changed[0] = (data[0]! & 0xf) | (displacement << 4);
  return changed;
}

/** Without a reader's objects: a page of a listing decodes a thousand. */
export function decodeEntry(data: Uint8Array, epochMs: number): ObjectEntry {
  if (data.length < FIXED_BYTES) throw new RangeError('an entry of an object is cut off');
  const flags = data[0]!;
  const numbers = { data, at: FIXED_BYTES };
  const sizeBytes = numberAt(numbers);
  const units = numberAt(numbers);
  const etag = Buffer.from(data.buffer, data.byteOffset + ETAG_AT, ETAG_BYTES).toString('hex');
  const parts = (flags & PARTS) === 0 ? undefined : numberAt(numbers);
  const content = (flags & EXTENTS) === 0 ? undefined : numberAt(numbers);
  const isWhole = content !== undefined || (flags & SMALLER) !== 0;
  const bodyUnits = isWhole ? 0 : Math.floor(sizeBytes / 8);
  return {
    displacement: flags >> 4,
    mark: markOf(data),
    modifiedMs: epochMs + fiveBytesAt(data, TIME_AT),
    etag: parts === undefined ? etag : `${etag}-${parts}`,
    sizeBytes,
    lengthBytes: 8 * (units + bodyUnits),
    content,
  };
}

function fiveBytesAt(data: Uint8Array, at: number): number {
  const low = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
  return (low >>> 0) + data[at + 4]! * 2 ** 32;
}

/** As `ByteReader.number`. */
function numberAt(from: { readonly data: Uint8Array; at: number }): number {
  let value = 0;
  for (let factor = 1; factor <= 2 ** 49; factor *= 0x80) {
    const byte = from.data[from.at++];
    if (byte === undefined) throw new RangeError('an entry of an object is cut off');
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
  }
  throw new RangeError('a number in the entry of an object does not end');
}
