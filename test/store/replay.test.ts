import fc from 'fast-check';
import { expect, it } from 'vitest';
import { joinedHalves, u64Halves } from '../../src/base/u64.ts';
import { Table } from '../../src/table/table.ts';
import { chunksOf, type TestRecord } from '../support/columns.ts';
import { runs } from '../support/effort.ts';
import { replayed } from '../support/replayed.ts';
import { publishRows, type TestRow } from '../support/rows.ts';

const KEYS = 300;
/** Keys on both sides of 2^32, so that both halves vary. */
const OFFSET = 2n ** 32n - 150n;

function keyOf(key: number): bigint {
  return BigInt(key) + OFFSET;
}

function record(key: number, value: number): TestRecord {
  const data = Uint8Array.of(key & 255, value, 7).subarray(0, value === 0 ? 0 : (key % 3) + 1);
  return { key: keyOf(key), value: BigInt(value), data };
}

interface Row {
  readonly key: number;
  readonly value: number;
}

const row = fc.record({
  key: fc.integer({ min: 0, max: KEYS }),
  value: fc.integer({ min: 0, max: 5 }),
});
const worlds = fc.record({
  keys: fc.uniqueArray(fc.integer({ min: 0, max: KEYS }), { maxLength: 60 }),
  /** Groups of pieces. */
  pieces: fc.array(fc.array(fc.array(row, { minLength: 1, maxLength: 30 }), { maxLength: 4 }), {
    maxLength: 4,
  }),
  perChunk: fc.integer({ min: 1, max: 9 }),
  parallelism: fc.constantFrom(1, 3),
  layerBlocks: fc.constantFrom(1, 2, 100),
  supersededBytes: fc.constantFrom(100, 10_000),
  /** With few keys, superseded rows are dropped early. */
  hotKeys: fc.constantFrom(2, 9, KEYS + 1),
  /** Where keys ascend. */
  ascend: fc.constantFrom('nowhere', 'in each piece', 'over all pieces'),
});

/** The same rows with other keys, which ascend within a piece or over all. */
function ascending(
  pieces: readonly (readonly (readonly Row[])[])[],
  where: 'in each piece' | 'over all pieces',
): Row[][][] {
  let last = 0;
  return pieces.map((groups) => {
    if (where === 'in each piece') last = 0;
    return groups.map((group) =>
      group.map(({ key, value }) => ({ key: (last += 1 + (key % 3)), value })),
    );
  });
}

function hashOf(table: Table): bigint {
  const count = table.countContent();
  while (count.step());
  return count.value;
}

function chunksWithKeyOf(
  rows: readonly TestRow[],
  chunks: readonly { readonly firstKey: bigint; readonly lastKey: bigint }[],
): number[] {
  return chunks.flatMap(({ firstKey, lastKey }, ordinal) =>
    rows.some(({ key }) => key >= firstKey && key <= lastKey) ? [ordinal] : [],
  );
}

it('the table shows, counts and hashes the snapshot and the rows after it', async () => {
  await fc.assert(
    fc.asyncProperty(worlds, async ({ keys, pieces, perChunk, hotKeys, ascend, ...options }) => {
      const held = keys.toSorted((a, b) => a - b).map((key) => record(key, 9));
      const snapshot = chunksOf(held, perChunk);
      const hot = pieces.map((groups) =>
        groups.map((group) => group.map(({ key, value }) => ({ key: key % hotKeys, value }))),
      );
      const rows = (ascend === 'nowhere' ? hot : ascending(hot, ascend)).map((groups) =>
        groups.map((group) => group.map(({ key, value }): TestRow => record(key, value))),
      );
      const plain = new Table({ snapshot });
      for (const group of rows.flat()) publishRows(plain, group);
      const recovered = await replayed(snapshot, rows, options);
      const table = new Table({ snapshot, ...recovered });
      if (ascend === 'over all pieces') {
        expect(recovered.layers.every(({ slots }) => slots === undefined)).toBe(true);
      }
      expect(recovered.touchedChunks).toEqual(chunksWithKeyOf(rows.flat(2), snapshot));
      expect(table.size).toBe(plain.size);
      expect([...table.entries()]).toEqual([...plain.entries()]);
      expect([...table.entries({ reverse: true })]).toEqual([...plain.entries({ reverse: true })]);
      for (let key = 0; key <= KEYS; key += 7) {
        const gte = keyOf(key);
        expect(table.get(gte)).toEqual(plain.get(gte));
        expect(table.has(gte)).toBe(plain.has(gte));
        table.readValue(Number(gte & 0xffff_ffffn), Number(gte >> 32n), u64Halves, 0);
        expect(joinedHalves()).toBe(plain.get(gte)?.value ?? 0n);
        expect([...table.keys({ gte, limit: 3 })]).toEqual([...plain.keys({ gte, limit: 3 })]);
      }
      expect(hashOf(table)).toBe(hashOf(plain));
      expect(table.deadBytes - plain.deadBytes).toBeLessThanOrEqual(0);
      const shadowed = recovered.layers.reduce((sum, layer) => sum + layer.shadowedRecords, 0);
      expect(shadowed).toBeLessThanOrEqual(keys.length + rows.flat(2).length);
    }),
    { numRuns: runs(150) },
  );
});

it('thousands of rows are distributed over ranges by a sample of their keys and found in order', async () => {
  const keyAt = (i: number): bigint => (BigInt(i) * 0x9e37_79b9_7f4a_7c15n) & (2n ** 64n - 1n);
  const data = new Uint8Array(0);
  const rows = Array.from({ length: 30_000 }, (_, i) => ({ key: keyAt(i), value: 1n, data }));
  const { layers, recordCount } = await replayed([], [[rows]]);
  expect(recordCount).toBe(rows.length);
  const table = new Table({ snapshot: [], layers, recordCount });
  const expected = rows.map(({ key }) => key).sort((a, b) => (a < b ? -1 : 1));
  expect([...table.keys()]).toEqual(expected);
});

it('ascending keys are found by their order, whatever their gaps are', async () => {
  const keys: bigint[] = [];
  // Even keys. Gaps differ by a factor of 2^40, so interpolation misses.
  for (let i = 0n; i < 18_000n; i++) keys.push(2n * i + ((i / 2_000n) << 41n));
  const data = new Uint8Array(0);
  const rows = keys.map((key, i) => ({ key, value: BigInt(i + 1), data }));
  const pieces = [[rows.slice(0, 1_500)], [rows.slice(1_500, 1_501)], [rows.slice(1_501)]];
  const { layers, recordCount } = await replayed([], pieces);
  expect(layers.map(({ slots }) => slots)).toEqual([undefined]);
  const table = new Table({ snapshot: [], layers, recordCount });
  expect(table.size).toBe(keys.length);
  for (let i = 0; i < keys.length; i += 7) {
    const key = keys[i]!;
    if (table.get(key)?.value !== BigInt(i + 1) || table.has(key + 1n)) expect(key).toBe('found');
  }
});

it('a key that ends one piece and begins the next has the newer value', async () => {
  const data = new Uint8Array(0);
  const rowOf = (key: bigint, value: bigint): TestRow => ({ key, value, data });
  const pieces = [[[rowOf(1n, 1n), rowOf(2n, 1n)]], [[rowOf(2n, 2n), rowOf(3n, 2n)]]];
  const { layers, recordCount } = await replayed([], pieces);
  const table = new Table({ snapshot: [], layers, recordCount });
  expect([...table.entries()].map(([key, { value }]) => [key, value])).toEqual([
    [1n, 1n],
    [2n, 2n],
    [3n, 2n],
  ]);
  expect(table.size).toBe(3);
});

it('rows of a log that nothing supersedes stay when superseded ones are dropped', async () => {
  const data = new Uint8Array(80);
  const rowOf = (key: bigint, value: bigint): TestRow => ({ key, value, data });
  const groups = Array.from({ length: 20 }, (_, i) => [
    rowOf(1n, BigInt(i)),
    rowOf(1n, BigInt(i) + 100n),
    rowOf(BigInt(100 - i), 1n),
  ]);
  const { layers, recordCount } = await replayed([], [groups], { supersededBytes: 100 });
  const table = new Table({ snapshot: [], layers, recordCount });
  const others = groups.map((_, i) => [BigInt(81 + i), 1n]);
  const found = [...table.entries()].map(([key, { value }]) => [key, value]);
  expect(found).toEqual([[1n, 119n], ...others]);
});
