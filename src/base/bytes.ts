import { types } from 'node:util';
import { assert } from './assert.ts';

// Typed arrays serve as u32 and u64 columns of little-endian files.
assert(
  new Uint8Array(new Uint32Array([1]).buffer)[0] === 1,
  'the machine is little-endian: big-endian machines are not supported',
);

/**
 * Whether `value` is a Uint8Array of any realm. In a `vm` context, and in Jest, Uint8Array is
 * another class.
 */
export function isBytes(value: unknown): value is Uint8Array {
  return types.isUint8Array(value);
}

/**
 * Checks that `value` is a Uint8Array whose bytes are there. An array whose buffer was transferred
 * (`postMessage`, `structuredClone`), or whose resizable buffer no longer reaches it, has length 0:
 * it would be stored as empty data.
 *
 * @throws TypeError that names the value
 */
export function requireBytes(value: unknown, name: string): asserts value is Uint8Array {
  if (!isBytes(value)) throw new TypeError(`${name} must be a Uint8Array`);
  if (value.length > 0) return;
  try {
    value.at(0);
  } catch (cause) {
    throw new TypeError(`the buffer of ${name} was transferred or resized; its bytes are gone`, {
      cause,
    });
  }
}

/** A DataView of the same bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Up to this length, a loop is faster than `set` with a `subarray`. */
const SHORT_COPY_BYTES = 64;

/** Copies `lengthBytes` from `source` at `sourceOffset` to `target` at `offset`. */
export function copyBytes(
  target: Uint8Array,
  offset: number,
  source: Uint8Array,
  sourceOffset: number,
  lengthBytes: number,
): void {
  if (lengthBytes > SHORT_COPY_BYTES) {
    target.set(source.subarray(sourceOffset, sourceOffset + lengthBytes), offset);
    return;
  }
  for (let i = 0; i < lengthBytes; i++) target[offset + i] = source[sourceOffset + i]!;
}

/** Whether all bytes in [from, to) are 0. */
export function isZero(bytes: Uint8Array, from = 0, to: number = bytes.length): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Whether both have the same content. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * Reads a u64 field that must be a safe integer (an offset, a length, a file number). Returns -1 if
 * it is not.
 */
export function readSafeU64(view: DataView, offset: number): number {
  const value = view.getBigUint64(offset, true);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : -1;
}

export function writeSafeU64(view: DataView, offset: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'an offset or a file number is a safe integer');
  view.setBigUint64(offset, BigInt(value), true);
}
