// @ts-check
import { DamagedObjectError } from './failure.mjs';

/** @import { Extent } from './volume-set.mjs' */

/**
 * What the node knows about an object.
 * @typedef {object} StoredObject
 * @property {string} name
 * @property {number} lengthBytes
 * @property {Uint8Array} sha256          32 bytes
 * @property {string} contentType
 * @property {number} createdMs           since 1970
 * @property {readonly Extent[]} extents  at least one; an empty object has one of length 0
 */

/**
 * How an object becomes a record of the metadata store. The value is where its first extent begins:
 * volume number in the upper 24 bits, offset in the lower 40. Volumes count from 1, so it is never
 * 0. The data, little-endian:
 *
 *     u8 version | u8 0 | u16 nameBytes | u16 contentTypeBytes | u16 furtherExtents
 *     f64 createdMs | f64 lengthBytes | sha256 (32)
 *     name | contentType | furtherExtents x (u64 location | u32 lengthBytes)
 *
 * The first extent's length is the object's less that of the further ones: a small object needs
 * none.
 */
const VERSION = 1;
const FIXED_BYTES = 56;
const EXTENT_BYTES = 12;
const OFFSET_BITS = 40n;
const OFFSET_MASK = (1n << OFFSET_BITS) - 1n;

/** Bounds of the fields above. */
export const MAX_FURTHER_EXTENTS = 0xffff;
export const MAX_EXTENT_BYTES = 0xffff_ffff;

/** @param {{ volume: number, offset: number }} place */
const packLocation = ({ volume, offset }) => (BigInt(volume) << OFFSET_BITS) | BigInt(offset);

/**
 * @param {StoredObject} object
 * @returns {{ value: bigint, data: Uint8Array }}
 */
export function encodeRecord(object) {
  const [first, ...further] = object.extents;
  if (first === undefined) throw new TypeError('an object has at least one extent');
  const name = Buffer.from(object.name);
  const contentType = Buffer.from(object.contentType);
  const namesEnd = FIXED_BYTES + name.length + contentType.length;
  const data = Buffer.alloc(namesEnd + further.length * EXTENT_BYTES);
  data.writeUInt8(VERSION, 0);
  data.writeUInt16LE(name.length, 2);
  data.writeUInt16LE(contentType.length, 4);
  data.writeUInt16LE(further.length, 6);
  data.writeDoubleLE(object.createdMs, 8);
  data.writeDoubleLE(object.lengthBytes, 16);
  data.set(object.sha256, 24);
  data.set(name, FIXED_BYTES);
  data.set(contentType, FIXED_BYTES + name.length);
  further.forEach((extent, index) => {
    const at = data.writeBigUInt64LE(packLocation(extent), namesEnd + index * EXTENT_BYTES);
    data.writeUInt32LE(extent.lengthBytes, at);
  });
  return { value: packLocation(first), data };
}

/**
 * @param {{ value: bigint, data: Uint8Array }} record
 * @returns {StoredObject}
 */
export function decodeRecord({ value, data }) {
  const bytes = checked(data);
  const nameEnd = FIXED_BYTES + bytes.readUInt16LE(2);
  const typeEnd = nameEnd + bytes.readUInt16LE(4);
  const lengthBytes = bytes.readDoubleLE(16);
  const further = [];
  for (let at = typeEnd; at < bytes.length; at += EXTENT_BYTES) {
    const place = unpackLocation(bytes.readBigUInt64LE(at));
    further.push({ ...place, lengthBytes: bytes.readUInt32LE(at + 8) });
  }
  const furtherBytes = further.reduce((sum, extent) => sum + extent.lengthBytes, 0);
  return {
    name: bytes.toString('utf8', FIXED_BYTES, nameEnd),
    lengthBytes,
    sha256: bytes.subarray(24, FIXED_BYTES),
    contentType: bytes.toString('utf8', nameEnd, typeEnd),
    createdMs: bytes.readDoubleLE(8),
    extents: [{ ...unpackLocation(value), lengthBytes: lengthBytes - furtherBytes }, ...further],
  };
}

/**
 * The name alone, for searches.
 * @param {{ data: Uint8Array }} record
 */
export function decodeName({ data }) {
  const bytes = checked(data);
  return bytes.toString('utf8', FIXED_BYTES, FIXED_BYTES + bytes.readUInt16LE(2));
}

/** @param {bigint} location */
function unpackLocation(location) {
  return { volume: Number(location >> OFFSET_BITS), offset: Number(location & OFFSET_MASK) };
}

/**
 * The metadata store has verified the bytes; this tells another version, or a foreign store.
 * @param {Uint8Array} data
 */
function checked(data) {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length < FIXED_BYTES || bytes[0] !== VERSION) {
    throw new DamagedObjectError(`a record of ${bytes.length} bytes is none of version ${VERSION}`);
  }
  const namesEnd = FIXED_BYTES + bytes.readUInt16LE(2) + bytes.readUInt16LE(4);
  if (bytes.length !== namesEnd + bytes.readUInt16LE(6) * EXTENT_BYTES) {
    throw new DamagedObjectError(`a record of ${bytes.length} bytes has another length inside`);
  }
  return bytes;
}
