import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/base/bytes.ts';
import { sumOfColumns } from '../../src/format/columns-sum.ts';
import { contentHashText, ContentSum } from '../../src/format/content-sum.ts';
import { hashRecord, recordHash } from '../../src/format/record-hash.ts';
import { columnsOf } from '../support/columns.ts';
import { contentHashOf, murmur3, recordHashOf } from '../support/independent-content-hash.ts';

const MAX = 2n ** 64n - 1n;

/** The hash of these bytes; the first 16 are key and value. */
function hashOf(bytes: Uint8Array): string {
  const view = viewOf(bytes);
  const [a, b, c, d] = [0, 4, 8, 12].map((at) => view.getUint32(at, true));
  hashRecord(a!, b!, c!, d!, view, 16, bytes.length);
  return Buffer.from(recordHash.buffer).toString('hex');
}

describe('hash of a record', () => {
  test("the independent implementation gives MurmurHash3's published verification value", () => {
    const hashes = Buffer.alloc(256 * 16);
    const bytes = Buffer.alloc(256);
    for (let i = 0; i < 256; i++) {
      bytes[i] = i;
      murmur3(bytes.subarray(0, i), 256 - i).copy(hashes, 16 * i);
    }
    expect(murmur3(hashes, 0).readUInt32LE(0)).toBe(0xb3ece62a);
  });

  test('a published value is computed', () => {
    const bytes = Buffer.from('The quick brown fox jumps over the lazy dog');
    const words = [0x2f1583c3, 0xecee2c67, 0x5d7bf66c, 0xe5e91d2c];
    hashOf(bytes);
    expect([...recordHash]).toEqual(words);
  });

  test('data of every length and alignment hash as in the independent implementation', () => {
    for (let length = 0; length <= 70; length++) {
      for (let shift = 0; shift < 5; shift++) {
        for (const behind of [0, 1, 3, 40]) {
          const buffer = Uint8Array.from({ length: shift + 16 + length + behind }, (_, i) => {
            return (i * 151 + length * 7) & 255;
          });
          const bytes = buffer.subarray(shift, shift + 16 + length);
          const view = viewOf(buffer);
          const [a, b, c, d] = [0, 4, 8, 12].map((at) => view.getUint32(shift + at, true));
          hashRecord(a!, b!, c!, d!, view, shift + 16, shift + 16 + length);
          expect(Buffer.from(recordHash.buffer).toString('hex')).toBe(
            murmur3(bytes, 0).toString('hex'),
          );
        }
      }
    }
  });
});

const RECORDS = [
  { key: 5n, value: 1n, data: Uint8Array.of(1, 2, 3) },
  { key: 2n ** 32n - 1n, value: MAX, data: new Uint8Array(0) },
  { key: 2n ** 32n, value: 2n ** 32n + 7n, data: Uint8Array.of(0) },
  { key: MAX - 1n, value: 2n ** 53n + 1n, data: Uint8Array.of(0, 0) },
  { key: MAX, value: 9n, data: new Uint8Array(333).fill(9) },
];

test('the examples of docs/FORMAT.md are correct', () => {
  const first = { key: 1n, value: 1n, data: new Uint8Array(0) };
  const last = { key: MAX, value: 2n ** 63n, data: Uint8Array.of(0x61) };
  const hash = '555e75b01ada585091c7511125350c50';
  const both = 'acb4cad07a968b85c6f0b8a901f15473';
  expect(contentHashText(sumOfColumns(columnsOf([first])).value)).toBe(hash);
  expect(contentHashText(sumOfColumns(columnsOf([first, last])).value)).toBe(both);
  const text = readFileSync(new URL('../../docs/FORMAT.md', import.meta.url), 'utf8');
  for (const example of [hash, both]) expect(text).toContain(`\`${example}\``);
});

describe('sum', () => {
  test('is 0 without records', () => {
    expect(contentHashText(new ContentSum().value)).toBe('0'.repeat(32));
  });

  test('includes narrow and wide columns of equal and different lengths', () => {
    expect(contentHashText(sumOfColumns(columnsOf(RECORDS)).value)).toBe(contentHashOf(RECORDS));
    for (const record of RECORDS) {
      expect(sumOfColumns(columnsOf([record])).value).toBe(recordHashOf(record));
    }
    const even = RECORDS.slice(0, 3).map((record, i) => ({ ...record, data: Uint8Array.of(i, 7) }));
    expect(contentHashText(sumOfColumns(columnsOf(even)).value)).toBe(contentHashOf(even));
  });

  test('carries and borrows through all 128 bits', () => {
    const all = 2n ** 128n - 1n;
    for (const value of [0n, 1n, 2n ** 32n - 1n, 2n ** 64n - 1n, 2n ** 96n - 1n, all]) {
      for (const other of [1n, 2n ** 32n, 2n ** 64n, 2n ** 96n, all]) {
        const sum = new ContentSum(value);
        sum.add(new ContentSum(other));
        expect(sum.value).toBe((value + other) & all);
        sum.subtract(new ContentSum(other));
        expect(sum.value).toBe(value);
        sum.subtract(new ContentSum(other));
        expect(sum.value).toBe((value - other) & all);
      }
    }
  });

  test('includes key, value, data and its length', () => {
    const base = { key: 1n, value: 2n, data: Uint8Array.of(0) };
    const others = [
      { ...base, key: 2n },
      { ...base, value: 3n },
      { ...base, value: 2n + 2n ** 32n },
      { ...base, data: Uint8Array.of(1) },
      { ...base, data: Uint8Array.of(0, 0) },
      { ...base, data: new Uint8Array(0) },
      { key: 2n, value: 1n, data: base.data },
    ];
    const sums = [base, ...others].map((record) => sumOfColumns(columnsOf([record])).value);
    expect(new Set(sums).size).toBe(sums.length);
  });
});
