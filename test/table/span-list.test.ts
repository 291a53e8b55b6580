import { describe, expect, it } from 'vitest';

import { Base } from '../../src/table/base/base.ts';
import { BaseMerge } from '../../src/table/base/base-merge.ts';
import { Chunk } from '../../src/table/chunk/chunk.ts';
import type { KeySpan } from '../../src/table/chunk/key-directory.ts';
import { keyListOf, type KeyList } from '../../src/table/chunk/span-list.ts';
import { LazyChunk } from '../../src/table/chunk/lazy-chunk.ts';
import { TABLE_SIZES } from '../../src/table/layer/table-sizes.ts';
import { chunksOf } from '../support/columns.ts';
import { randomWords } from '../support/random.ts';

const words = randomWords(11);

/** The span from `key` to `key + 1`. */
function spanOf(key: number): KeySpan {
  return { firstLow: key, firstHigh: 3, lastLow: key + 1, lastHigh: 3 };
}

function firstsOf(list: KeyList): number[] {
  return Array.from({ length: list.count }, (_, i) => list.spanAt(i).firstLow);
}

describe('SpanList', () => {
  it('agrees with a plain array for any replacements', () => {
    for (let round = 0; round < 12; round++) {
      const pageItems = 1 + (words() % 5);
      let keys = Array.from({ length: words() % 60 }, (_, i) => 10_000 * (i + 1));
      let list = keyListOf(keys.map(spanOf), pageItems);
      for (let step = 0; step < 20; step++) {
        const from = words() % (keys.length + 1);
        const to = from + (words() % Math.min(4, keys.length - from + 1));
        const low = (keys[from - 1] ?? 0) + 4;
        const high = keys[to] ?? low + 4_000;
        const room = Math.floor((high - low) / 4);
        const added = Array.from({ length: Math.min(words() % 4, room) }, (_, i) => low + 4 * i);
        const before = list;
        const keysBefore = keys;
        list = list.splice(from, to, added.map(spanOf));
        keys = keys.toSpliced(from, to - from, ...added);
        expect(firstsOf(list)).toEqual(keys);
        expect(firstsOf(before)).toEqual(keysBefore);
        expect(list.highestLow).toBe(keys.length === 0 ? 0 : keys.at(-1)! + 1);
        for (const key of keys) {
          expect(list.locate(key, 3)).toBe(keys.indexOf(key));
          expect(list.pageOf(key + 2, 3)!.directory.locate(key + 2, 3)).toBe(
            list.place(keys.indexOf(key))!.index,
          );
        }
        expect(list.locate(5, 2)).toBe(-1);
        expect(list.place(keys.length)).toBeUndefined();
        for (const { items } of list.pages) expect(items.length).toBeLessThanOrEqual(2 * pageItems);
      }
      expect(list.pages.length).toBeLessThanOrEqual(1 + (4 * list.count) / pageItems);
    }
  });

  it('does not become many short pages when most items are removed', () => {
    const items = Array.from({ length: 4_000 }, (_, i) => spanOf(4 * i));
    let list = keyListOf(items, 16);
    for (let i = 0; i < 200; i++) list = list.splice(i, i + 19, []);
    expect(list.count).toBe(200);
    expect(list.pages.length).toBeLessThan(60);
  });
});

describe('the replacement of one of many chunks', () => {
  const COUNT = 40_000;
  const records = (i: number): { key: bigint; value: bigint; data: Uint8Array }[] => [
    { key: BigInt(i) * 10n, value: 1n, data: new Uint8Array(0) },
    { key: BigInt(i) * 10n + 1n, value: 1n, data: new Uint8Array(0) },
  ];

  it('copies the pages with the chunk and shares the others', () => {
    const [columns] = chunksOf(records(0), 2);
    let looks = 0;
    const slots = Array.from({ length: COUNT }, (_, i) => {
      const firstKey = BigInt(i) * 10n;
      const promise = { recordCount: 2, firstKey, lastKey: firstKey + 1n };
      const slot = new LazyChunk(promise, () => columns!);
      // Making a page reads all its chunks.
      return Object.defineProperty(slot, 'recordCount', { get: () => (looks++, 2) });
    });
    let base = Base.of(slots);
    const keys = keyListOf(slots, TABLE_SIZES.pageChunks);
    const merge = new BaseMerge(keys);
    looks = 0;
    const steps = 100;
    for (let i = 0; i < steps; i++) {
      const chunks = chunksOf(records(3 * i), 2).map((one) => new Chunk(one, 'adopted'));
      base = merge.replace(base, { fromOrigin: 3 * i, toOrigin: 3 * i + 1, isWhole: true }, chunks);
    }
    expect(looks).toBeGreaterThan(0);
    expect(looks).toBeLessThanOrEqual(steps * 2 * TABLE_SIZES.pageChunks);
    expect(base.recordCount).toBe(2 * COUNT);
    const written = merge.finish();
    expect(written.count).toBe(COUNT);
    const shared = written.pages.filter((page) => keys.pages.includes(page));
    expect(written.pages.length - shared.length).toBeLessThanOrEqual(
      2 + (3 * steps) / TABLE_SIZES.pageChunks,
    );
    expect(base.has(30, 0)).toBe(true);
    expect(base.chunkAt(COUNT - 1)).toBeDefined();
    expect(base.chunkAt(COUNT)).toBeUndefined();
  });
});
