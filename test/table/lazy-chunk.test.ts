import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LazyChunk } from '../../src/table/chunk/lazy-chunk.ts';
import { Table } from '../../src/table/table.ts';
import { chunksOf, type TestRecord } from '../support/columns.ts';

function record(key: number): TestRecord {
  return { key: BigInt(key), value: BigInt(key + 1), data: Uint8Array.of(key & 255) };
}

const questions = fc.array(
  fc.record({
    kind: fc.constantFrom('get', 'has', 'range', 'reverse', 'adopt', 'memory'),
    key: fc.integer({ min: 0, max: 220 }),
  }),
  { maxLength: 30 },
);

describe('a table of chunks that are not in memory yet', () => {
  it('answers like a table in memory, whatever is read first', () => {
    const worlds = fc.record({
      keys: fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { maxLength: 80 }),
      perChunk: fc.integer({ min: 1, max: 12 }),
      asked: questions,
    });
    fc.assert(
      fc.property(worlds, ({ keys, perChunk, asked }) => {
        const ascending = keys.toSorted((a, b) => a - b).map(record);
        const columns = chunksOf(ascending, perChunk);
        const eager = new Table({ snapshot: columns });
        const lazyChunks = columns.map((one) => new LazyChunk(one, () => one));
        const lazy = new Table({ snapshot: lazyChunks });
        expect(lazy.size).toBe(eager.size);
        for (const { kind, key } of asked) {
          if (kind === 'get') expect(lazy.get(key)).toEqual(eager.get(key));
          else if (kind === 'has') expect(lazy.has(key)).toBe(eager.has(key));
          else if (kind === 'adopt' && columns.length > 0) {
            const i = key % columns.length;
            lazyChunks[i]?.adopt(columns[i]!);
          } else if (kind === 'memory') {
            expect(lazy.memoryBytes).toBeLessThanOrEqual(eager.memoryBytes);
          } else {
            const range = { gte: key, limit: 20, reverse: kind === 'reverse' };
            expect([...lazy.entries(range)]).toEqual([...eager.entries(range)]);
          }
        }
        expect([...lazy.entries()]).toEqual([...eager.entries()]);
        expect(lazy.memoryBytes).toBe(eager.memoryBytes);
      }),
    );
  });

  const columns = chunksOf([1, 2, 11, 12, 21, 22].map(record), 2);

  it('reads a chunk once, and none for a key outside all chunks', () => {
    const read: bigint[] = [];
    const lazyChunks = columns.map(
      (one) =>
        new LazyChunk(one, () => {
          read.push(one.firstKey);
          return one;
        }),
    );
    const table = new Table({ snapshot: lazyChunks });
    for (const key of [0, 5, 15, 30]) expect(table.get(key)).toBeUndefined();
    expect(read).toEqual([]);
    for (let i = 0; i < 3; i++) expect(table.get(12)?.value).toBe(13n);
    expect([...table.keys()]).toHaveLength(6);
    expect(read).toEqual([11n, 1n, 21n]);
  });

  it('rejects each read of an unreadable chunk, which can be read later', () => {
    let isBroken = true;
    const lazyChunks = columns.map(
      (one, i) =>
        new LazyChunk(one, () => {
          if (i === 1 && isBroken) throw new Error('damaged');
          return one;
        }),
    );
    const table = new Table({ snapshot: lazyChunks });
    expect(table.get(2)?.value).toBe(3n);
    expect(table.get(22)?.value).toBe(23n);
    for (let i = 0; i < 2; i++) expect(() => table.get(11)).toThrow('damaged');
    const keys = table.keys();
    expect([keys.next().value, keys.next().value]).toEqual([1n, 2n]);
    for (let i = 0; i < 2; i++) expect(() => keys.next()).toThrow('damaged');
    isBroken = false;
    expect(table.get(11)?.value).toBe(12n);
    // An iterator that has failed skips nothing.
    expect(() => keys.next()).toThrow('damaged');
    expect([...table.keys()]).toEqual([1n, 2n, 11n, 12n, 21n, 22n]);
  });
});
