import zlib from 'node:zlib';
import { expect, onTestFinished, test, vi } from 'vitest';
import { NativePackageError } from '../../src/base/errors.ts';
import { ENCODE_SLICE_BYTES } from '../../src/base/limits.ts';
import { ancestorRows } from '../../src/format/ancestor.ts';
import { compressedBound } from '../../src/format/compression.ts';
import { zstd } from '../../src/format/zstd.ts';
import type { Zstd } from '../../src/format/zstd-library.ts';
import { NapiZstd } from '../../src/format/zstd-napi.ts';
import { NodeZstd } from '../../src/format/zstd-node.ts';

const HAS_NODE_ZSTD = 'zstdCompressSync' in zlib;
const LEVEL = 3;

/** Bytes that compress to about half. */
function payload(lengthBytes: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: lengthBytes }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) & 15;
  });
}

/** Copies each piece before the next, which invalidates it. */
function copyOf(pieces: Iterable<Uint8Array>): Uint8Array {
  const copies: Uint8Array[] = [];
  for (const piece of pieces) copies.push(piece.slice());
  return Buffer.concat(copies);
}

async function compressedBy(library: Zstd, source: Uint8Array, how: string): Promise<Uint8Array> {
  if (how === 'pieces') {
    const compressor = library.pieceCompressor(LEVEL);
    return Buffer.concat([copyOf(compressor.push(source)), copyOf(compressor.finish())]);
  }
  const target = new Uint8Array(compressedBound(source.length));
  const written =
    how === 'at once'
      ? library.compress(target, source, LEVEL)
      : await library.compressLater(target, source, LEVEL, () => Promise.resolve());
  return target.subarray(0, written);
}

test("the bound equals the library's", () => {
  const binding = new NapiZstd();
  for (const lengthBytes of [0, 1, 1000, 128 * 1024 - 1, 128 * 1024, 1024 * 1024]) {
    const noise = Uint8Array.from({ length: lengthBytes }, () => Math.random() * 256);
    const target = new Uint8Array(compressedBound(lengthBytes));
    expect(binding.compress(target, noise, LEVEL)).toBeLessThanOrEqual(target.length);
  }
});

const LIBRARIES = { napi: () => new NapiZstd(), node: () => new NodeZstd() };
const ROUTES = (['napi', 'node'] as const).flatMap((from) =>
  (['napi', 'node'] as const).flatMap((to) =>
    ['at once', 'later', 'pieces'].map((how) => ({ from, to, how })),
  ),
);

test.each(ROUTES)('a payload written by $from ($how) is read by $to', async ({ from, to, how }) => {
  // Node.js 20 has no zstd: only the package is tested there.
  if (!HAS_NODE_ZSTD && (from === 'node' || to === 'node')) return;
  const reader = LIBRARIES[to]();
  for (const lengthBytes of [100, 5000, 2 * ENCODE_SLICE_BYTES + 17]) {
    const source = payload(lengthBytes);
    const compressed = await compressedBy(LIBRARIES[from](), source, how);
    const target = new Uint8Array(lengthBytes);
    expect(reader.decompress(target, compressed)).toBe(lengthBytes);
    expect(Buffer.compare(target, source)).toBe(0);
    expect(Buffer.compare(copyOf(reader.decompressPieces(compressed)), source)).toBe(0);
  }
});

test.each(HAS_NODE_ZSTD ? (['napi', 'node'] as const) : (['napi'] as const))(
  '%s throws on invalid or truncated zstd and on more bytes than expected',
  async (name) => {
    const library = LIBRARIES[name]();
    const source = payload(5000);
    const compressed = await compressedBy(library, source, 'at once');
    const target = new Uint8Array(5000);
    expect(() => library.decompress(target, compressed.subarray(0, -3))).toThrow(Error);
    expect(() => library.decompress(target, payload(100))).toThrow(Error);
    expect(() => library.decompress(target.subarray(1), compressed)).toThrow(Error);
    expect(() => [...library.decompressPieces(compressed.subarray(0, -3))]).toThrow(Error);
  },
);

test('a missing library is not taken for a payload that is not zstd', () => {
  const library = zstd();
  const missing = new NativePackageError('zstd-napi', 'it has no binary');
  const spy = vi.spyOn(library, 'decompressPieces').mockImplementation(() => {
    throw missing;
  });
  onTestFinished(() => spy.mockRestore());
  expect(() => ancestorRows(payload(100)).next()).toThrow(missing);
  spy.mockRestore();
  expect(ancestorRows(payload(100)).next()).toEqual({
    done: true,
    value: 'the payload is not zstd',
  });
});
