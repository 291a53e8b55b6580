import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/base/bytes.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import {
  decodeIndex,
  decodeTrailer,
  encodeIndex,
  encodeTrailer,
  indexBytes,
  TRAILER_BYTES,
  type Trailer,
} from '../../src/format/snapshot-index.ts';
import { sha256 } from '../support/golden.ts';
import { STORE_ID } from '../support/small-directory.ts';

const MAX = 2n ** 64n - 1n;
const SEED = new ChecksumSeed(STORE_ID, 'snapshot', 3);

const INDEX = {
  entries: [
    {
      offset: 128,
      lengthBytes: 100,
      recordCount: 2,
      firstKey: 0n,
      lastKey: 9n,
      checksum: 1,
      dataBytes: 5,
    },
    {
      offset: 228,
      lengthBytes: 60,
      recordCount: 1,
      firstKey: 10n,
      lastKey: MAX,
      checksum: 2,
      dataBytes: 0,
    },
  ],
  totals: { recordCount: 3, dataBytes: 5 },
};
const INDEX_AT = 288;

describe('index', () => {
  test('is decoded unchanged and has the same bytes as ever', () => {
    const bytes = encodeIndex(INDEX);
    expect(decodeIndex(bytes, 2, INDEX_AT, 1)).toEqual(INDEX);
    expect(sha256(bytes)).toBe('5fbc0463253a4ae6799c0043840589882fba9f0fe10fa27fe62f40cec2b8ecbf');
    const empty = { entries: [], totals: { recordCount: 0, dataBytes: 0 } };
    expect(decodeIndex(encodeIndex(empty), 0, 128, 1)).toEqual(empty);
  });

  test.each<[string, (view: DataView) => void]>([
    ['chunk 0 does not start where', (view) => view.setBigUint64(0, 129n, true)],
    ['chunk 1 does not start where', (view) => view.setBigUint64(40, 227n, true)],
    ['chunk 0 does not start where', (view) => view.setUint32(8, 47, true)],
    ['chunk 0 is longer than the limit', (view) => view.setUint32(8, 2 ** 26 + 49, true)],
    ['chunk 0 is not in key order', (view) => view.setUint32(12, 0, true)],
    ['chunk 0 is not in key order', (view) => view.setBigUint64(16, 10n, true)],
    ['chunk 1 is not in key order', (view) => view.setBigUint64(56, 9n, true)],
    ['do not reach up to the index', (view) => view.setUint32(48, 61, true)],
    ['totals', (view) => view.setUint32(36, 6, true)],
    ['totals', (view) => view.setUint32(12, 3, true)],
    ['totals', (view) => view.setBigUint64(80, 4n, true)],
    ['totals', (view) => view.setBigUint64(88, 4n, true)],
    ['reserved', (view) => view.setUint8(96, 1)],
    ['reserved', (view) => view.setUint8(111, 1)],
  ])('refused: %s', (reason, change) => {
    const bytes = encodeIndex(INDEX);
    change(viewOf(bytes));
    expect(decodeIndex(bytes, 2, INDEX_AT, 1)).toMatch(new RegExp(reason));
  });

  test('has a content hash in version 2, only of records', () => {
    const contentHash = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210n;
    const hashed = { ...INDEX, totals: { ...INDEX.totals, contentHash } };
    const bytes = encodeIndex(hashed);
    expect(Buffer.from(bytes.subarray(-16)).toString('hex')).toBe(
      '1032547698badcfeefcdab8967452301',
    );
    expect(decodeIndex(bytes, 2, INDEX_AT, 2)).toEqual(hashed);
    expect(decodeIndex(encodeIndex(INDEX), 2, INDEX_AT, 2)).toMatchObject({
      totals: { contentHash: 0n },
    });
    const empty = encodeIndex({ entries: [], totals: { recordCount: 0, dataBytes: 0 } });
    empty[31] = 1;
    expect(decodeIndex(empty, 0, 128, 2)).toMatch(/content hash but no records/);
  });

  test('is refused with another number of chunks', () => {
    expect(decodeIndex(encodeIndex(INDEX), 1, INDEX_AT, 2)).toMatch(/does not match its count/);
    expect(indexBytes(2)).toBe(112);
  });
});

describe('trailer', () => {
  const trailer: Trailer = {
    indexOffset: INDEX_AT,
    chunkCount: 2,
    recordCount: 3,
    fileBytes: 500,
    chain: 0xffff_fffe,
    headerChecksum: 0x1234_5678,
  };

  test('is decoded unchanged and has the same bytes as ever', () => {
    const bytes = encodeTrailer(trailer, SEED);
    expect(decodeTrailer(bytes, SEED, 500)).toEqual(trailer);
    expect(sha256(bytes)).toBe('caf17368a6234b9ed2601a8a73fc0265732f003a2ff51cc9fdcc65ec0a9462b7');
  });

  test('is refused with any flipped bit', () => {
    const unseen: number[] = [];
    for (let bit = 0; bit < 8 * TRAILER_BYTES; bit++) {
      const bytes = encodeTrailer(trailer, SEED);
      const view = viewOf(bytes);
      view.setUint8(bit >> 3, view.getUint8(bit >> 3) ^ (1 << (bit & 7)));
      if (typeof decodeTrailer(bytes, SEED, 500) !== 'string') unseen.push(bit);
    }
    expect(unseen).toEqual([]);
  });

  test.each<[string, Partial<Trailer>, number]>([
    ['records another file length', { fileBytes: 500 }, 501],
    ['does not point to an index', { indexOffset: 127 }, 500],
    ['does not point to an index', { indexOffset: 500 - 48 - 47 }, 500],
    ['does not point to an index', { fileBytes: 2 ** 27 }, 2 ** 27],
  ])('refused: %s', (reason, fields, fileBytes) => {
    const all = { ...trailer, ...fields };
    const bytes = encodeTrailer(all, SEED);
    const at = fileBytes - all.fileBytes;
    // The checksum is valid at the place where it is read.
    const moved = at === 0 ? bytes : reseeded(bytes, fileBytes);
    expect(decodeTrailer(moved, SEED, fileBytes)).toMatch(new RegExp(reason));
  });

  test('is refused if too short, or if it is none', () => {
    expect(decodeTrailer(new Uint8Array(47), SEED, 47)).toMatch(/too short/);
    expect(decodeTrailer(new Uint8Array(48), SEED, 48)).toMatch(/no trailer/);
  });
});

function reseeded(bytes: Uint8Array, fileBytes: number): Uint8Array {
  const checksum = SEED.checksum(bytes.subarray(0, 44), fileBytes - TRAILER_BYTES);
  viewOf(bytes).setUint32(44, checksum, true);
  return bytes;
}
