import { NodeError } from '../node-errors.ts';
import { ByteReader, ByteWriter } from '../ledger/byte-writer.ts';

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
export function encodeEntry(entry: ObjectEntry, epochMs: number): Buffer {
  const [, hex, parts] = ETAG.exec(entry.etag) ?? [];
  if (hex === undefined) {
    throw new NodeError('BAD_ETAG', 'an ETag must be 32 hexadecimal digits, then -N for N parts');
  }
  const { units, isSmaller } = unitsOf(entry);
  const fixed = Buffer.allocUnsafe(FIXED_BYTES);
  fixed[0] =
    (entry.content === undefined ? 0 : EXTENTS) |
    (parts === undefined ? 0 : PARTS) |
    (isSmaller ? SMALLER : 0) |
    (entry.displacement << 4);
  fixed.writeUIntLE(entry.mark, MARK_AT, 5);
  fixed.writeUIntLE(Math.max(0, entry.modifiedMs - epochMs), TIME_AT, 5);
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
  const low = data[1]! | (data[2]! << 8) | (data[3]! << 16) | (data[4]! << 24);
  return (low >>> 0) + data[5]! * 2 ** 32;
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

export function decodeEntry(data: Uint8Array, epochMs: number): ObjectEntry {
  const reader = new ByteReader(data);
  const fixed = reader.bytes(FIXED_BYTES);
  const flags = fixed[0]!;
  const sizeBytes = reader.number();
  const units = reader.number();
  const hex = fixed.toString('hex', ETAG_AT, FIXED_BYTES);
  const etag = (flags & PARTS) === 0 ? hex : `${hex}-${reader.number()}`;
  const content = (flags & EXTENTS) === 0 ? undefined : reader.number();
  const isWhole = content !== undefined || (flags & SMALLER) !== 0;
  const bodyUnits = isWhole ? 0 : Math.floor(sizeBytes / 8);
  return {
    displacement: flags >> 4,
    mark: fixed.readUIntLE(MARK_AT, 5),
    modifiedMs: epochMs + fixed.readUIntLE(TIME_AT, 5),
    etag,
    sizeBytes,
    lengthBytes: 8 * (units + bodyUnits),
    content,
  };
}
