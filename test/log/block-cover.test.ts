import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BlockCover } from '../../src/log/block-cover.ts';

const BLOCK_BYTES = 4_096;
const RESERVED_BYTES = 1024 * 1024;

/** The file after the writes, with zeros reserved ahead. */
class ZeroFile {
  bytes = new Uint8Array(1024 * 1024);

  apply({ bytes, offset }: { bytes: Uint8Array; offset: number }): void {
    this.bytes.set(bytes, offset);
  }
}

function pieceOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 1 + ((i * 31 + seed * 17) % 255));
}

describe('writes widened to whole blocks', () => {
  test('have the result of plain writes, and never change earlier bytes', () => {
    const lengths = fc.oneof(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 20_000 }),
      fc.constantFrom(BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES),
    );
    fc.assert(
      fc.property(fc.array(lengths, { minLength: 1, maxLength: 40 }), (all) => {
        const cover = new BlockCover();
        const file = new ZeroFile();
        let plain = Buffer.alloc(0);
        for (const [i, length] of all.entries()) {
          const piece = pieceOf(length, i);
          const before = file.bytes.slice(0, cover.end);
          const write = cover.cover(piece, RESERVED_BYTES);
          file.apply(write);
          // Whatever part of the write a crash keeps: these bytes are equal before and after.
          expect(Buffer.compare(file.bytes.subarray(0, before.length), before)).toBe(0);
          cover.advance(piece);
          plain = Buffer.concat([plain, piece]);
          expect(cover.end).toBe(plain.length);
        }
        const zeros = Buffer.alloc(file.bytes.length - plain.length);
        expect(Buffer.compare(file.bytes, Buffer.concat([plain, zeros]))).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  test('start and end at blocks once they cross one', () => {
    const cover = new BlockCover();
    cover.advance(pieceOf(100, 0));
    expect(cover.cover(pieceOf(50, 1), RESERVED_BYTES)).toMatchObject({ offset: 100 });
    expect(cover.cover(pieceOf(50, 1), RESERVED_BYTES).bytes).toHaveLength(50);
    const write = cover.cover(pieceOf(5_000, 2), RESERVED_BYTES);
    expect(write.offset).toBe(0);
    expect(write.bytes).toHaveLength(2 * BLOCK_BYTES);
  });

  test('write no zeros beyond the reserved ones', () => {
    const cover = new BlockCover();
    cover.advance(pieceOf(100, 0));
    const write = cover.cover(pieceOf(5_000, 1), 4_096);
    expect([write.offset, write.bytes.length]).toEqual([0, 5_100]);
    expect(cover.cover(pieceOf(5_000, 1), 6_000).bytes).toHaveLength(6_000);
  });

  test('cover the same place when a failed write is repeated', () => {
    const cover = new BlockCover();
    cover.advance(pieceOf(4_000, 0));
    cover.cover(pieceOf(9_000, 1), RESERVED_BYTES);
    const write = cover.cover(pieceOf(300, 2), RESERVED_BYTES);
    expect(write.offset).toBe(0);
    expect(write.bytes.subarray(0, 4_000)).toEqual(pieceOf(4_000, 0));
    expect(write.bytes.subarray(4_300).every((byte) => byte === 0)).toBe(true);
  });

  test('leave a very long write as it is, and widen the next one', () => {
    const cover = new BlockCover();
    const long = pieceOf(2 * 1024 * 1024 + 10, 3);
    expect(cover.cover(long, RESERVED_BYTES).bytes).toBe(long);
    cover.advance(long);
    const write = cover.cover(pieceOf(5_000, 4), RESERVED_BYTES);
    expect(write.offset).toBe(2 * 1024 * 1024);
    expect(write.bytes.subarray(0, 10)).toEqual(long.subarray(-10));
  });
});
