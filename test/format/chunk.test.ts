import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/base/bytes.ts';
import { chunkBoundBytes, decodeChunk, encodeChunk } from '../../src/format/chunk.ts';
import { columnsOf, type TestRecord } from '../support/columns.ts';
import { sha256 } from '../support/golden.ts';

const MAX = 2n ** 64n - 1n;
const NONE = new Uint8Array(0);

function record(key: bigint, value: bigint, data: Uint8Array = NONE): TestRecord {
  return { key, value, data };
}

function encoded(records: readonly TestRecord[]): Uint8Array {
  const columns = columnsOf(records);
  const bytes = new Uint8Array(chunkBoundBytes(columns));
  return bytes.slice(0, encodeChunk(bytes, columns));
}

const SHAPES: readonly (readonly [string, readonly TestRecord[]])[] = [
  ['one record', [record(0n, 1n)]],
  ['one record at the end of u64', [record(MAX, MAX, Uint8Array.of(1))]],
  ['both ends of u64', [record(0n, MAX), record(MAX, 1n)]],
  ['dense keys', [record(5n, 9n), record(6n, 9n), record(7n, 9n)]],
  ['keys whose differences need 4 bytes', [record(0n, 1n), record(2n ** 32n, 2n)]],
  ['a carry between halves', [record(2n ** 32n - 1n, 1n), record(2n ** 32n, 2n ** 32n)]],
  [
    'keys narrow one by one, wide together',
    [0n, 1n, 2n].map((k) => record(k * (2n ** 32n - 1n), 1n)),
  ],
  ['values from 1 to 2^40', [record(1n, 1n), record(2n, 2n ** 40n)]],
  ['lengths that differ', [record(1n, 1n), record(2n, 1n, new Uint8Array(300).fill(3))]],
  ['lengths that are equal', [record(1n, 1n, Uint8Array.of(1)), record(9n, 1n, Uint8Array.of(2))]],
];

describe('encoded chunks are decoded unchanged', () => {
  test.each(SHAPES)('%s', (_, records) => {
    expect(decodeChunk(encoded(records))).toEqual(columnsOf(records));
  });

  test('the encoded bytes never change', () => {
    const all = SHAPES.map(([, records]) => sha256(encoded(records))).join('\n');
    expect(sha256(all)).toBe('6211879f6c049a522006e454488881ec166b4051d05bdb6ca297cd68892520d1');
  });
});

describe('refused', () => {
  const records = [
    record(10n, 1n, Uint8Array.of(1)),
    record(20n, 2n, Uint8Array.of(2, 3)),
    record(30n, 300n),
  ];

  test.each<[string, (view: DataView) => void]>([
    ['holds no record', (view) => view.setUint32(0, 0, true)],
    ['do not fit', (view) => view.setUint32(0, 4_000_000_000, true)],
    ['too wide', (view) => view.setUint8(4, 9)],
    ['too wide', (view) => view.setUint8(5, 9)],
    ['too wide', (view) => view.setUint8(6, 5)],
    ['reserved', (view) => view.setUint8(7, 1)],
    ['reserved', (view) => view.setUint32(28, 1, true)],
    ['both a data length and', (view) => view.setUint32(24, 1, true)],
    ['a key exceeds u64', (view) => view.setBigUint64(8, MAX - 10n, true)],
    ['a value exceeds u64', (view) => view.setBigUint64(16, MAX, true)],
    ['value 0', (view) => view.setBigUint64(16, 0n, true)],
    ['do not add up', (view) => view.setUint8(32 + 2 + 6, 9)],
  ])('%s', (reason, change) => {
    const bytes = encoded(records);
    change(viewOf(bytes));
    expect(decodeChunk(bytes)).toMatch(new RegExp(reason));
  });

  test('every truncation', () => {
    const bytes = encoded(records);
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeChunk(bytes.subarray(0, length))).toBeTypeOf('string');
    }
  });

  test('equal lengths that do not match the data', () => {
    const bytes = encoded([record(1n, 1n, Uint8Array.of(1))]);
    viewOf(bytes).setUint32(24, 2, true);
    expect(decodeChunk(bytes)).toMatch(/length of the data differs/);
  });

  test('a count that only the head bounds', () => {
    const bytes = encoded([record(1n, 1n)]);
    viewOf(bytes).setUint32(0, 2 ** 23 + 1, true);
    expect(decodeChunk(bytes)).toMatch(/more records than a frame holds/);
    viewOf(bytes).setUint32(0, 1000, true);
    expect(decodeChunk(bytes)).toMatchObject({ recordCount: 1000, lastKey: 1000n });
  });

  test('keys whose differences exceed 2^64', () => {
    const bytes = encoded([record(0n, 1n), record(MAX, 1n)]);
    viewOf(bytes).setBigUint64(8, 1n, true);
    expect(decodeChunk(bytes)).toMatch(/a key exceeds u64/);
  });
});
