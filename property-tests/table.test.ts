import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { MAX_U64 } from '../src/base/limits.ts';
import type { RangeOptions } from '../src/table/layer/key-range.ts';
import type { TestRecord } from '../test/support/columns.ts';
import { runs } from '../test/support/effort.ts';
import { randomWords } from '../test/support/random.ts';
import type { TestRow } from '../test/support/rows.ts';
import { TableWorld } from './table-world.ts';

const P53 = 2n ** 53n;

const key = fc.oneof(
  { weight: 4, arbitrary: fc.bigInt(0n, 12n) },
  { weight: 4, arbitrary: fc.bigInt(1_000n, 1_100n) },
  { weight: 2, arbitrary: fc.bigInt(0n, 20n).map((n) => n << 40n) },
  { weight: 2, arbitrary: fc.bigInt(0n, MAX_U64) },
  fc.constantFrom(0n, P53 - 1n, P53, P53 + 1n, 2n ** 32n - 1n, 2n ** 32n, MAX_U64 - 1n, MAX_U64),
);
const value = fc.oneof(fc.bigInt(1n, 100n), fc.bigInt(1n, MAX_U64), fc.constant(MAX_U64));
const data = fc.oneof(
  fc.constant(new Uint8Array([1, 2, 3, 4])),
  fc.uint8Array({ maxLength: 6 }),
  fc.constant(new Uint8Array(300).fill(7)),
);
const put = fc.record({ key, value, data });
const row: fc.Arbitrary<TestRow> = fc.oneof(
  { weight: 3, arbitrary: put },
  { weight: 2, arbitrary: fc.record({ key, value: fc.constant(0n) }) },
);
const rows = fc.array(row, { minLength: 1, maxLength: 15 });
const range: fc.Arbitrary<RangeOptions> = fc.record(
  {
    gte: key,
    gt: key,
    lte: key,
    lt: key,
    reverse: fc.boolean(),
    limit: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.constant(Infinity)),
  },
  { requiredKeys: [] },
);
const shape = fc.record({
  insertsGaps: fc.boolean(),
  chunkRecords: fc.integer({ min: 1, max: 9 }),
  isSummed: fc.boolean(),
  inParts: fc.boolean(),
});

type Command = (world: TableWorld) => void;

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: rows.map(
      (group): Command =>
        (world) =>
          world.publish(group),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(rows, fc.integer({ min: 1, max: 4 })).map(
      ([group, count]): Command =>
        (world) =>
          world.publishInSteps(group, count),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        rows,
        fc.constantFrom('kept' as const, 'released' as const, 'abandoned' as const),
        fc.integer({ min: 0, max: 5 }),
      )
      .map(
        ([group, end, rowsIndexed]): Command =>
          (world) =>
            world.fail(group, end, rowsIndexed),
      ),
  },
  {
    weight: 2,
    arbitrary: shape.map(
      (one): Command =>
        (world) =>
          world.startMerge(one),
    ),
  },
  { weight: 4, arbitrary: fc.constant<Command>((world) => world.stepMerge()) },
  fc.constant<Command>((world) => world.endMerge()),
  fc.constant<Command>((world) => world.failMerge()),
  fc.constant<Command>((world) => world.takeView()),
  {
    weight: 2,
    arbitrary: range.map(
      (one): Command =>
        (world) =>
          world.startIteration(one),
    ),
  },
  fc.constant<Command>((world) => world.startCount()),
  fc.integer({ min: 0, max: 5 }).map(
    (n): Command =>
      (world) =>
        world.continueCounts(n),
  ),
  fc.integer({ min: 0, max: 5 }).map(
    (n): Command =>
      (world) =>
        world.continueIterations(n),
  ),
  range.map(
    (one): Command =>
      (world) =>
        world.checkViews(one),
  ),
  fc.array(key).map(
    (keys): Command =>
      (world) =>
        world.check(keys),
  ),
);

const longSnapshot: fc.Arbitrary<TestRecord[]> = fc
  .record({
    count: fc.integer({ min: 250, max: 700 }),
    seed: fc.integer(),
    gap: fc.constantFrom(1n, 4n, 2n ** 40n, 2n ** 54n),
    spread: fc.constantFrom(0n, 5n, 2n ** 33n),
    dataBytes: fc.constantFrom(0, 4, 16, 17, -1),
    values: fc.constantFrom(1n, 2n ** 20n, 2n ** 40n),
  })
  .map(({ count, seed, gap, spread, dataBytes, values }) => {
    const words = randomWords(seed);
    return Array.from({ length: count }, (_, i) => ({
      key: BigInt(i) * gap + (BigInt(words()) * spread) / 2n ** 32n,
      value: 1n + (BigInt(words()) * values) / 2n ** 10n,
      data: new Uint8Array(dataBytes < 0 ? words() % 9 : dataBytes).fill(words()),
    }));
  });
/** So small that groups, pieces and pages end anywhere. */
const sizes = fc.option(
  fc.record({
    runRows: fc.integer({ min: 1, max: 12 }),
    pieceRows: fc.integer({ min: 1, max: 5 }),
    pageChunks: fc.integer({ min: 1, max: 4 }),
  }),
  { nil: undefined },
);
const often: Command = (world) => world.getOften(400);

describe('Table', () => {
  it('agrees with a plain map while its chunks are rearranged for gets', async () => {
    await fc.assert(
      fc.asyncProperty(
        longSnapshot,
        fc.array(row, { maxLength: 10 }),
        fc.integer({ min: 256, max: 400 }),
        fc.array(fc.oneof({ weight: 5, arbitrary: command }, fc.constant(often)), {
          maxLength: 12,
        }),
        async (snapshot, updates, chunkRecords, commands) => {
          const world = await TableWorld.recover(snapshot, updates, chunkRecords);
          for (const run of commands) run(world);
          world.startIteration({});
          world.continueIterations(chunkRecords / 2);
          world.getOften(700);
          world.checkAll();
          world.startMerge({ insertsGaps: true, chunkRecords, isSummed: true, inParts: true });
          world.endMerge();
          world.getOften(700);
          world.checkAll();
          expect(world.table.frozenLayers).toBe(0);
        },
      ),
      { numRuns: runs(60) },
    );
  });

  it('agrees with a plain map through groups, merges, failures and views', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(put, { maxLength: 25 }),
        fc.array(row, { maxLength: 10 }),
        fc.integer({ min: 1, max: 6 }),
        fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
        fc.array(command, { maxLength: 40 }),
        sizes,
        async (snapshot, updates, chunkRecords, foldedRecords, commands, cut) => {
          const world = await TableWorld.recover(
            snapshot,
            updates,
            chunkRecords,
            foldedRecords,
            cut,
          );
          for (const run of commands) run(world);
          world.checkAll();
          world.startMerge({ insertsGaps: true, chunkRecords: 3, isSummed: true, inParts: true });
          world.endMerge();
          world.checkAll();
          expect(world.table.frozenLayers).toBe(0);
        },
      ),
      { numRuns: runs(2_000) },
    );
  });
});
