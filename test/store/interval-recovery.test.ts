import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WriteBatch } from '../../src/index.ts';
import { ProgressMeter } from '../../src/store/recovery/progress-meter.ts';
import { recover, recoveredColumns } from '../../src/store/recovery/recovery.ts';
import { Table } from '../../src/table/table.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };
/** Few keys, so that superseded rows are packed away. */
const KEYS = 8;

type Step =
  | { readonly kind: 'put'; readonly key: number; readonly bytes: number }
  | { readonly kind: 'range'; readonly from: number; readonly to: number };

const key = fc.nat(KEYS);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put'), key, bytes: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('range'), from: key, to: key }) },
);
const steps = fc.array(step, { minLength: 1, maxLength: 12, size: 'max' });
const batches = fc.array(steps, { maxLength: 8, size: 'max' });

test('rows and intervals are read in their order, for any pieces and any packing', async () => {
  await fc.assert(
    fc.asyncProperty(
      batches,
      batches,
      fc.record({
        pieceBytes: fc.constantFrom(200, 900, 100_000),
        lookBytes: fc.constantFrom(1, 500, 100_000),
        layerBlocks: fc.constantFrom(1, 3, 100),
      }),
      async (merged, rest, sizes) => {
        const fs = new CrashFs({ trace: false });
        const store = await openOn(fs, '/s', NO_MERGES);
        let value = 0;
        const write = async (updates: readonly Step[]): Promise<void> => {
          const batch = new WriteBatch();
          for (const one of updates) {
            if (one.kind === 'range') batch.deleteRange({ gte: one.from, lt: one.to });
            else batch.put(one.key, ++value, new Uint8Array(one.bytes).fill(value));
          }
          await store.insertBatch(batch);
        };
        for (const one of merged) await write(one);
        await store.merge();
        for (const one of rest) await write(one);
        const expected = [...store.entries()];
        const state = await recover({
          fs,
          directory: '/s',
          runner: new InlineRunner(fs),
          signal: new AbortController().signal,
          progress: new ProgressMeter(undefined),
          ...sizes,
        });
        const table = new Table(recoveredColumns(state));
        expect([...table.entries()]).toEqual(expected);
        expect(table.size).toBe(expected.length);
        await store.close();
      },
    ),
    { numRuns: 20 },
  );
});
