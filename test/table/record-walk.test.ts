import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Table } from '../../src/table/table.ts';
import { chunksOf, type TestRecord } from '../support/columns.ts';
import { replayed } from '../support/replayed.ts';
import { publishRows } from '../support/rows.ts';

function record(key: number, value: number, lengthBytes = key % 5): TestRecord {
  return { key: BigInt(key), value: BigInt(value), data: new Uint8Array(lengthBytes).fill(key) };
}

const keys = fc.uniqueArray(fc.integer({ min: 0, max: 400 }), { maxLength: 300 });
const updates = fc.uniqueArray(
  fc.record({ key: fc.integer({ min: 0, max: 420 }), value: fc.integer({ min: 0, max: 9 }) }),
  { selector: ({ key }) => key, maxLength: 30 },
);
const bound = fc.option(fc.integer({ min: 0, max: 430 }), { nil: undefined });
const ranges = fc.record({
  gte: bound,
  lt: bound,
  reverse: fc.boolean(),
  limit: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.constant(Infinity)),
});

describe('iteration over layers', () => {
  it('agrees with a map', async () => {
    const worlds = fc.record({
      keys,
      recovered: updates,
      frozen: updates,
      live: updates,
      perChunk: fc.integer({ min: 1, max: 60 }),
      range: ranges,
    });
    await fc.assert(
      fc.asyncProperty(
        worlds,
        async ({ keys: baseKeys, recovered, frozen, live, perChunk, range }) => {
          const model = new Map<number, TestRecord>();
          const apply = (list: readonly { key: number; value: number }[]): TestRecord[] => {
            for (const { key, value } of list) {
              if (value === 0) model.delete(key);
              else model.set(key, record(key, value));
            }
            return list.map(({ key, value }) => record(key, value, value === 0 ? 0 : undefined));
          };
          const ascending = baseKeys.toSorted((a, b) => a - b).map((key) => ({ key, value: 77 }));
          const snapshot = chunksOf(apply(ascending), perChunk);
          const rows = apply(recovered);
          const table = new Table({ snapshot, ...(await replayed(snapshot, [[rows]])) });
          if (frozen.length > 0) publishRows(table, apply(frozen));
          table.freeze();
          if (live.length > 0) publishRows(table, apply(live));
          let expected = [...model.values()].filter(
            ({ key }) =>
              (range.gte === undefined || key >= range.gte) &&
              (range.lt === undefined || key < range.lt),
          );
          expected.sort((a, b) => Number(a.key - b.key));
          if (range.reverse) expected.reverse();
          expected = expected.slice(0, range.limit);
          expect([...table.entries(range)]).toEqual(
            expected.map(({ key, value, data }) => [key, { value, data }]),
          );
          expect([...table.keys(range)]).toEqual(expected.map(({ key }) => key));
          expect([...table.values(range)]).toEqual(
            expected.map(({ value, data }) => ({ value, data })),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  const table = (): Table =>
    new Table({
      snapshot: chunksOf(
        Array.from({ length: 100 }, (_, i) => record(i, 1, 16)),
        40,
      ),
    });

  it('returns copies: changing them does not change the table', () => {
    const copies = table();
    for (const { data } of copies.values()) data.fill(0xee);
    expect([...copies.values()].every(({ data }, i) => data[0] === i && data[15] === i)).toBe(true);
  });

  it('ends for good when the caller breaks off', () => {
    const entries = table().entries();
    for (const [key] of entries) if (key === 7n) break;
    expect(entries.next()).toEqual({ done: true, value: undefined });
    const walked = table().keys();
    walked.next();
    expect(() => walked.throw?.(new Error('enough'))).toThrow('enough');
    expect(walked.next().done).toBe(true);
  });

  it('stays at its end', () => {
    const values = table().values({ limit: 1 });
    expect(values.next().done).toBe(false);
    for (let i = 0; i < 3; i++) expect(values.next()).toEqual({ done: true, value: undefined });
  });

  it('inherits from the common iterator prototype', () => {
    const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
    expect(iterators.isPrototypeOf(table().entries())).toBe(true);
  });
});
