import { describe, expect, it } from 'vitest';

import { equalBytes } from '../../src/base/bytes.ts';
import { Table } from '../../src/table/table.ts';
import { chunksOf, type TestRecord } from '../support/columns.ts';
import { randomWords } from '../support/random.ts';
import { replayed } from '../support/replayed.ts';
import { publishRows, rowsLength, writeRows, type TestRow } from '../support/rows.ts';

const data = Uint8Array.of(1, 2, 3);

function put(key: number | bigint, value: number | bigint = 1): TestRecord {
  return { key: BigInt(key), value: BigInt(value), data };
}

function del(key: number): TestRow {
  return { key: BigInt(key), value: 0n };
}

function tableOf(keys: readonly number[], recordsPerChunk = 2): Table {
  return new Table({
    snapshot: chunksOf(
      keys.map((key) => put(key)),
      recordsPerChunk,
    ),
  });
}

describe('Table.size', () => {
  it.each<[string, TestRow[][], number]>([
    ['a key above all', [[put(99)]], 4],
    ['a key between', [[put(2)]], 4],
    ['an overwrite of the base', [[put(3)]], 3],
    ['an overwrite of the delta', [[put(99)], [put(99)]], 4],
    ['a delete from the base', [[del(3)]], 2],
    ['a delete of nothing', [[del(2)], [del(99)]], 3],
    ['a delete twice', [[del(3)], [del(3)]], 2],
    ['put and delete in one group', [[put(2), del(2)]], 3],
    ['delete and put in one group', [[del(3), put(3)]], 3],
    ['put after a delete', [[del(3)], [put(3)]], 3],
  ])('is exact after %s', (_, groups, size) => {
    const table = tableOf([1, 3, 5]);
    for (const group of groups) publishRows(table, group);
    expect(table.size).toBe(size);
    expect([...table.keys()].length).toBe(size);
    table.freeze();
    for (const group of groups) publishRows(table, group);
    expect(table.size).toBe(size);
    expect([...table.keys()].length).toBe(size);
  });

  it('equals the count of recovery', async () => {
    const snapshot = chunksOf([put(1), put(3), put(5)], 2);
    const recovered = await replayed(snapshot, [
      [
        [del(1), put(2)],
        [put(3), del(9)],
      ],
    ]);
    expect(new Table({ snapshot, ...recovered }).size).toBe(3);
  });
});

describe('Table.deadBytes and mergeEffect', () => {
  const PUT = 23;
  const DELETE = 20;

  it.each<[string, TestRow[][], number, number]>([
    ['new keys', [[put(2), put(4)]], 0, 0],
    ['an overwrite of the base', [[put(3)]], 0, 1],
    ['an overwrite of the delta', [[put(99)], [put(99)], [put(99)]], 2 * PUT, 0],
    ['an overwrite in one group', [[put(99), put(99)]], PUT, 0],
    ['a delete from the base', [[del(3)]], DELETE, 1],
    ['a delete of nothing', [[del(2)]], DELETE, 0],
    ['a delete of a put', [[put(2)], [del(2)]], PUT + DELETE, 0],
    ['a put after deletes', [[del(2)], [del(2)], [put(2)]], 2 * DELETE, 0],
  ])('are exact after %s', (_, groups, deadBytes, shadowed) => {
    const table = tableOf([1, 3, 5], 3);
    const recordBytes = table.memory.baseBytes / 3;
    for (const group of groups) publishRows(table, group);
    expect(table.deadBytes).toBe(deadBytes);
    expect(table.mergeEffect.freedBytes).toBeCloseTo(deadBytes + shadowed * recordBytes);
    table.freeze();
    expect(table.deadBytes).toBe(deadBytes);
    expect(table.mergeEffect.freedBytes).toBeCloseTo(deadBytes + shadowed * recordBytes);
  });

  it('count nothing of a group that is undone', () => {
    const table = tableOf([1, 3, 5]);
    publishRows(table, [put(2), put(3)]);
    const before = [table.deadBytes, table.mergeEffect];
    const rows = [put(2), del(3), put(5), put(5)];
    const region = table.reserve(rowsLength(rows));
    writeRows(region.bytes, rows);
    table.beginPublish(region, rowsLength(rows));
    table.stepPublish();
    expect([table.deadBytes, table.mergeEffect]).toEqual(before);
    table.stepAbandon(Infinity);
    expect([table.deadBytes, table.mergeEffect]).toEqual(before);
  });

  it('count the updates that recovered ones replace and delete', async () => {
    const snapshot = chunksOf([put(1), put(3), put(5)], 3);
    const recovered = await replayed(snapshot, [[[del(1), put(2), put(3), put(3), del(9)]]]);
    const table = new Table({ snapshot, ...recovered });
    const { baseBytes } = table.memory;
    // Dead rows: one that another one replaces, both deletes, and the records 1 and 3 that they and
    // a put supersede.
    const deadBytes = PUT + 2 * DELETE;
    expect(table.deadBytes).toBe(deadBytes);
    expect(table.mergeEffect.freedBytes).toBeCloseTo(deadBytes + (2 * baseBytes) / 3);
    expect(table.mergeEffect.leftBytes).toBeCloseTo(2 * PUT + baseBytes / 3);
  });

  it('are 0 after a merge', () => {
    const table = tableOf([1], 1);
    publishRows(table, [put(1, 2)]);
    publishRows(table, [put(1, 3)]);
    table.freeze();
    publishRows(table, [put(1, 4)]);
    table.replaceChunks(0, 1, chunksOf([put(1, 3)], 1));
    table.dropFrozen();
    expect(table.deadBytes).toBe(0);
    publishRows(table, [put(1, 5)]);
    expect(table.deadBytes).toBe(PUT);
  });
});

describe('Table.get', () => {
  it('accepts numbers and bigints for the same key', () => {
    const table = tableOf([1, 2 ** 53 - 1]);
    publishRows(table, [put(2 ** 40, 7)]);
    for (const key of [1, 2 ** 40, 2 ** 53 - 1]) {
      expect(table.get(key)).toEqual(table.get(BigInt(key)));
      expect(table.has(key)).toBe(true);
      expect(table.get(key)?.data).toEqual(data);
    }
  });

  it('refuses a key that is not a u64', () => {
    const table = new Table();
    for (const wrong of [-1n, 2n ** 64n, 0.5, 2 ** 53]) {
      expect(() => table.get(wrong)).toThrow(RangeError);
      expect(() => table.has(wrong)).toThrow(/key must be/);
    }
    expect(() => table.get('1' as unknown as bigint)).toThrow(TypeError);
  });

  it('returns copies', () => {
    const table = tableOf([1]);
    publishRows(table, [put(2)]);
    for (const key of [1, 2]) {
      table.get(key)?.data.fill(9);
      expect(table.get(key)?.data).toEqual(data);
    }
  });
});

describe('Table.publish', () => {
  it('shows nothing of a group before its last step', () => {
    const table = tableOf([1]);
    publishRows(table, [put(2, 5)]);
    const rows = [put(1, 8), put(2, 8), put(2, 9), put(3, 8), del(1)];
    const region = table.reserve(rowsLength(rows));
    writeRows(region.bytes, rows);
    table.beginPublish(region, rowsLength(rows));
    let isIndexed = false;
    while (!isIndexed) {
      isIndexed = table.stepPublish(1);
      expect([1, 2, 3].map((key) => table.get(key)?.value)).toEqual([1n, 5n, undefined]);
      expect(table.size).toBe(2);
      expect([...table.keys()]).toEqual([1n, 2n]);
    }
    table.endPublish();
    expect([1, 2, 3].map((key) => table.get(key)?.value)).toEqual([undefined, 9n, 8n]);
    expect([...table.keys()]).toEqual([2n, 3n]);
  });

  it.each([0, 1, 3, 5])('leaves no trace of a group that fails after %i rows', (rowsIndexed) => {
    const table = tableOf([1, 4]);
    publishRows(table, [put(2, 5), del(4)]);
    const rows = [put(1, 8), put(2, 8), put(2, 9), put(3, 8), put(4, 8)];
    const region = table.reserve(rowsLength(rows));
    writeRows(region.bytes, rows);
    table.beginPublish(region, rowsLength(rows));
    if (rowsIndexed > 0) table.stepPublish(rowsIndexed);
    table.stepAbandon(Infinity);
    const keys = [1, 2, 3, 4];
    expect(keys.map((key) => table.get(key)?.value)).toEqual([1n, 5n, undefined, undefined]);
    expect(table.size).toBe(2);
    expect([...table.keys()]).toEqual([1n, 2n]);
    publishRows(table, [put(3, 7), put(4, 6)]);
    expect(keys.map((key) => table.get(key)?.value)).toEqual([1n, 5n, 7n, 6n]);
    expect(table.size).toBe(4);
  });

  it('shows what was before at each step in which a group is taken back', () => {
    const table = tableOf([1, 4]);
    publishRows(table, [put(2, 5), del(4)]);
    const rows = [put(1, 8), put(2, 8), put(2, 9), put(3, 8), put(4, 8)];
    const region = table.reserve(rowsLength(rows));
    writeRows(region.bytes, rows);
    table.beginPublish(region, rowsLength(rows));
    table.stepPublish();
    let steps = 0;
    for (let isUndone = false; !isUndone; steps++) {
      isUndone = table.stepAbandon(2);
      const values = [1, 2, 3, 4].map((key) => table.get(key)?.value);
      expect(values).toEqual([1n, 5n, undefined, undefined]);
      expect([...table.keys()]).toEqual([1n, 2n]);
      expect(table.size).toBe(2);
    }
    expect(steps).toBe(3);
    publishRows(table, [put(3, 7)]);
    expect([...table.keys()]).toEqual([1n, 2n, 3n]);
  });

  it('takes the keys of deletes for present when it is told so', () => {
    const table = tableOf([1, 4]);
    publishRows(table, [put(2, 5), put(1, 6)]);
    const rows = [del(1), del(2), del(4), del(2)];
    const region = table.reserve(rowsLength(rows));
    writeRows(region.bytes, rows);
    table.beginPublish(region, rowsLength(rows), 'present');
    table.stepPublish();
    table.endPublish();
    expect([...table.keys()]).toEqual([]);
    expect(table.size).toBe(0);
    publishRows(table, [del(7)]);
    expect(table.size).toBe(0);
  });

  it('shows no row that is not indexed', () => {
    const table = new Table();
    const region = table.reserve(46);
    writeRows(region.bytes, [put(1), put(2)]);
    table.beginPublish(region, 46);
    table.stepPublish(1);
    expect(() => table.endPublish()).toThrow(/whole rows/);
  });

  it('leaves no trace of a region that is given back', () => {
    const table = new Table();
    publishRows(table, [put(1)]);
    for (const isReleased of [true, false]) {
      const region = table.reserve(23);
      writeRows(region.bytes, [put(2)]);
      if (isReleased) table.release(region);
    }
    publishRows(table, [put(3)]);
    expect([...table.keys()]).toEqual([1n, 3n]);
    expect(table.has(2)).toBe(false);
  });

  it('accepts a group longer than a block, and such rows', () => {
    const table = new Table();
    const long = { key: 2n, value: 3n, data: new Uint8Array(2 ** 21 + 5).fill(4) };
    const group = [put(1), long, put(3), { ...long, key: 4n }, put(5)];
    publishRows(table, [put(9)]);
    publishRows(table, group);
    publishRows(table, [put(7)]);
    expect(table.get(4)?.value).toBe(3n);
    expect(equalBytes(table.get(4)?.data ?? data, long.data)).toBe(true);
    expect([...table.keys()]).toEqual([1n, 2n, 3n, 4n, 5n, 7n, 9n]);
  });

  it('refuses rows that do not end with the group', () => {
    const table = new Table();
    const region = table.reserve(100);
    writeRows(region.bytes, [put(1)]);
    expect(() => table.publish(region, 22)).toThrow(/whole rows/);
  });

  it('refuses groups out of order', () => {
    const table = new Table();
    const first = table.reserve(23);
    const second = table.reserve(23);
    writeRows(first.bytes, [put(1)]);
    writeRows(second.bytes, [put(2)]);
    table.publish(second, 23);
    expect(() => table.publish(first, 23)).toThrow(/order/);
  });
});

describe('merging', () => {
  it('replaces chunks while readers see no change', () => {
    const table = tableOf([10, 11, 20, 21, 30, 31]);
    publishRows(table, [put(20, 7), del(30), put(25)]);
    table.freeze();
    publishRows(table, [put(40)]);
    const expected = [10n, 11n, 20n, 21n, 25n, 31n, 40n];
    const view = table.view();
    expect([...table.keys()]).toEqual(expected);
    table.replaceChunks(1, 2, chunksOf([put(20, 7), put(21), put(25)], 2));
    expect([...table.keys()]).toEqual(expected);
    table.replaceChunks(2, 3, chunksOf([put(31)], 2));
    expect([...table.keys()]).toEqual(expected);
    table.dropFrozen();
    expect([...table.keys()]).toEqual(expected);
    expect([...view.keys()]).toEqual(expected);
    expect(table.get(20)?.value).toBe(7n);
    expect(table.size).toBe(7);
    expect(table.frozenLayers).toBe(0);
    table.freeze();
    // The new snapshot has four chunks: 10 11 | 20 21 | 25 | 31.
    table.replaceChunks(3, 4, chunksOf([put(31), put(40)], 2));
    table.dropFrozen();
    expect([...table.keys()]).toEqual(expected);
  });

  it('replaces a long range part by part while readers see no change', () => {
    // The log's records are in the base, as after an open: nothing shadows them.
    const table = new Table({
      snapshot: chunksOf([put(10), put(11), put(20), put(30), put(40), put(50), put(90)], 7),
      diskKeys: [
        { firstKey: 10n, lastKey: 20n },
        { firstKey: 90n, lastKey: 90n },
      ],
    });
    publishRows(table, [del(20), put(60), del(50)]);
    table.freeze();
    const expected = [10n, 11n, 30n, 40n, 60n, 90n];
    // The old chunk's last key is deleted, and all keys after the first part.
    table.replaceChunks(0, 1, chunksOf([put(10), put(11)], 2), false);
    expect([...table.keys()]).toEqual(expected);
    table.replaceChunks(1, 1, chunksOf([put(30), put(40)], 1), false);
    expect([...table.keys()]).toEqual(expected);
    table.replaceChunks(1, 1, chunksOf([put(60)], 1));
    expect([...table.keys()]).toEqual(expected);
    table.dropFrozen();
    expect([...table.keys()]).toEqual(expected);
    table.freeze();
    // The new snapshot has five chunks: 10 11 | 30 | 40 | 60 | 90.
    table.replaceChunks(3, 5, chunksOf([put(60), put(90)], 2));
    table.dropFrozen();
    expect([...table.keys()]).toEqual(expected);
  });

  it('refuses an empty part', () => {
    const table = tableOf([10, 20]);
    table.freeze();
    expect(() => table.replaceChunks(0, 1, [], false)).toThrow(/part/);
  });

  it('can fail half-way, and the next merge includes both layers', () => {
    const table = tableOf([10, 11, 20, 21, 30, 31]);
    publishRows(table, [put(12), put(22)]);
    table.freeze();
    table.replaceChunks(0, 2, chunksOf([put(10), put(11), put(12), put(20), put(21), put(22)], 9));
    publishRows(table, [del(12), put(13)]);
    table.freeze();
    expect([...table.keys()]).toEqual([10n, 11n, 13n, 20n, 21n, 22n, 30n, 31n]);
    table.replaceChunks(0, 1, chunksOf([put(10), put(11), put(13)], 9));
    expect([...table.keys()]).toEqual([10n, 11n, 13n, 20n, 21n, 22n, 30n, 31n]);
    table.replaceChunks(1, 2, chunksOf([put(20), put(21), put(22)], 9));
    table.dropFrozen();
    expect([...table.keys()]).toEqual([10n, 11n, 13n, 20n, 21n, 22n, 30n, 31n]);
    expect(table.has(12)).toBe(false);
  });

  it('refuses to end with lost or extra records', () => {
    const table = tableOf([10, 20]);
    publishRows(table, [put(15)]);
    table.freeze();
    table.replaceChunks(0, 1, chunksOf([put(10)], 2));
    expect(() => table.dropFrozen()).toThrow(/every record/);
  });

  it('refuses chunks outside the range that they replace, and steps backwards', () => {
    const table = tableOf([10, 20, 30], 1);
    table.freeze();
    expect(() => table.replaceChunks(1, 2, chunksOf([put(30)], 1))).toThrow(/range of keys/);
    expect(() => table.replaceChunks(1, 2, chunksOf([put(10)], 1))).toThrow(/range of keys/);
    table.replaceChunks(1, 2, chunksOf([put(20)], 1));
    expect(() => table.replaceChunks(0, 1, chunksOf([put(10)], 1))).toThrow(/ascending order/);
    expect(() => table.replaceChunks(3, 4, [])).toThrow(/ascending order/);
  });

  it('fills an empty table', () => {
    const table = new Table();
    publishRows(table, [put(5), put(1)]);
    table.freeze();
    table.replaceChunks(0, 0, chunksOf([put(1), put(5)], 1));
    table.dropFrozen();
    expect([...table.keys()]).toEqual([1n, 5n]);
    expect(table.memory.frozenBytes).toBe(0);
  });

  it('refuses to freeze half a group, or to end a merge that has not started', () => {
    const table = new Table();
    expect(() => table.dropFrozen()).toThrow(/merge runs/);
    expect(() => table.replaceChunks(0, 0, [])).toThrow(/merge runs/);
    const region = table.reserve(23);
    writeRows(region.bytes, [put(1)]);
    table.beginPublish(region, 23);
    expect(() => table.freeze()).toThrow(/whole/);
  });
});

describe('a large delta', () => {
  it('iterates in order over a view with more rows than a sorted run has', () => {
    const words = randomWords(12);
    const sizes = { runRows: 4_096, pieceRows: 256, pageChunks: 4 };
    const table = new Table({ snapshot: [] }, sizes);
    const model = new Map<bigint, bigint>();
    const views: { keys: () => bigint[]; expected: bigint[] }[] = [];
    const sortedKeys = (): bigint[] => [...model.keys()].toSorted((a, b) => (a < b ? -1 : 1));
    let next = 1;
    for (let group = 0; group < 60; group++) {
      const rows = Array.from({ length: 1 + (words() % 400) }, () => {
        const key = BigInt(words() % 6_000) << BigInt(8 * (words() % 2));
        return { key, value: words() % 5 === 0 ? 0n : BigInt(next++) };
      });
      publishRows(table, rows);
      for (const { key, value } of rows) {
        if (value === 0n) model.delete(key);
        else model.set(key, value);
      }
      expect(table.size).toBe(model.size);
      if (group % 9 !== 4) continue;
      const view = table.view();
      views.push({ keys: () => [...view.keys()], expected: sortedKeys() });
      // Some are read at once, so that sorted runs exist when the next rows arrive.
      if (group % 2 === 0) expect(views.at(-1)?.keys()).toEqual(views.at(-1)?.expected);
    }
    for (const { keys, expected } of views) expect(keys()).toEqual(expected);
    expect([...table.keys({ reverse: true })]).toEqual(sortedKeys().toReversed());
    const values = new Map([...table.entries()].map(([key, { value }]) => [key, value]));
    expect(values).toEqual(new Map(sortedKeys().map((key) => [key, model.get(key)])));
    while (table.sortStep());
    expect([...table.keys({ limit: 3 })]).toEqual(sortedKeys().slice(0, 3));
  });
});
