import fc from 'fast-check';
import { expect, it } from 'vitest';
import { placeUpdates } from '../../src/store/recovery/place-updates.ts';
import { countRecords } from '../../src/table/base/record-count.ts';
import { Table } from '../../src/table/table.ts';
import { chunksOf, type TestRecord } from '../support/columns.ts';

const pause = (): Promise<void> => Promise.resolve();

function record(key: number, value: number): TestRecord {
  return { key: BigInt(key), value: BigInt(value), data: Uint8Array.of(key & 255, value) };
}

const runs = fc.uniqueArray(
  fc.record({ key: fc.integer({ min: 0, max: 300 }), value: fc.integer({ min: 0, max: 5 }) }),
  { selector: ({ key }) => key, maxLength: 60 },
);

it('what recovery adopts holds what the snapshot and the updates hold, and counts it', async () => {
  const worlds = fc.record({
    keys: fc.uniqueArray(fc.integer({ min: 0, max: 300 }), { maxLength: 60 }),
    run: runs,
    perChunk: fc.integer({ min: 1, max: 9 }),
    perColumns: fc.integer({ min: 1, max: 9 }),
  });
  await fc.assert(
    fc.asyncProperty(worlds, async ({ keys, run, perChunk, perColumns }) => {
      const model = new Map<number, number>();
      for (const key of keys) model.set(key, 9);
      for (const { key, value } of run) {
        if (value === 0) model.delete(key);
        else model.set(key, value);
      }
      const ascending = keys.toSorted((a, b) => a - b).map((key) => record(key, 9));
      const chunks = chunksOf(ascending, perChunk);
      const updates = run.toSorted((a, b) => a.key - b.key);
      const columns = chunksOf(
        updates.map(({ key, value }) => record(key, value)),
        perColumns,
      );
      const placed = placeUpdates(chunks, columns);
      const recordCount = await countRecords(placed.columns, placed.updates, pause);
      const table = new Table({
        snapshot: placed.columns,
        updates: placed.updates,
        diskKeys: chunks,
        recordCount,
      });
      expect(recordCount).toBe(model.size);
      const expected = [...model].toSorted(([a], [b]) => a - b);
      expect([...table.entries()].map(([key, { value }]) => [Number(key), Number(value)])).toEqual(
        expected,
      );
      for (let key = 0; key <= 300; key++) {
        expect(table.get(key)?.value).toBe(
          model.has(key) ? BigInt(model.get(key) ?? 0) : undefined,
        );
      }
    }),
    { numRuns: 100 },
  );
});

it('new ids behind all known ones become chunks of the base: nothing lies above it', () => {
  const chunks = chunksOf([record(1, 1), record(2, 1)], 1);
  const run = chunksOf([record(3, 1), record(4, 1)], 2);
  expect(placeUpdates(chunks, run)).toEqual({ columns: [...chunks, ...run], updates: [] });
});

it('columns that delete lie above, wherever they are', () => {
  const chunks = chunksOf([record(1, 1)], 1);
  const run = chunksOf([record(3, 0)], 1);
  expect(placeUpdates(chunks, run)).toEqual({ columns: chunks, updates: run });
});
