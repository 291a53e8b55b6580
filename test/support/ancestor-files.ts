import { compress } from 'zstd-napi';
import { crc32 } from './independent-decoder-checks.ts';
import type { TestRow } from './rows.ts';

/** Rows in the ancestor's format, decompressed. */
export function ancestorRowsOf(rows: readonly TestRow[]): Buffer {
  return Buffer.concat(
    rows.map(({ key, value, data = new Uint8Array(0) }) => {
      const row = Buffer.alloc(24 + data.length);
      row.writeBigUInt64LE(key, 0);
      row.writeBigUInt64LE(value, 8);
      row.writeBigUInt64LE(BigInt(data.length), 16);
      row.set(data, 24);
      return row;
    }),
  );
}

/** A frame of the ancestor with this payload. */
export function ancestorFrameOf(payload: Uint8Array): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(payload.length));
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE((crc32(length, payload) ^ 0xaf) >>> 0);
  return new Uint8Array(Buffer.concat([length, payload, checksum]));
}

export function ancestorFrameOfRows(rows: readonly TestRow[]): Uint8Array {
  return ancestorFrameOf(compress(ancestorRowsOf(rows)));
}
