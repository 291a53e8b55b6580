import { crc32, demand, FormatError, inflate } from './independent-decoder-checks.ts';

/**
 * Only the ancestor's rule for a frame: `u64 length | payload | u32 crc32 ^ 0xAF`. Throws where the
 * ancestor fails.
 */
export function ancestorFrame(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 8) throw new FormatError('the length is cut');
  const length = Buffer.from(bytes.subarray(0, 8)).readBigUInt64LE();
  // A Rust vector has at most isize::MAX bytes.
  demand(length < 2n ** 63n, 'capacity overflow');
  demand(length <= BigInt(bytes.length), 'the payload is cut');
  const end = 8 + Number(length);
  demand(end + 4 <= bytes.length, 'the checksum is cut');
  const stored = Buffer.from(bytes.subarray(end, end + 4)).readUInt32LE();
  demand((crc32(bytes.subarray(0, end)) ^ 0xaf) >>> 0 === stored, 'the checksum holds');
  return inflate(bytes.subarray(8, end));
}
