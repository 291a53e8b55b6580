import { expect, test } from 'vitest';
import { finishSteps } from '../../src/base/steps.ts';
import { LogParts } from '../../src/runs/part-pile.ts';
import type { TestRow } from '../support/rows.ts';
import { groupOf } from '../support/small-directory.ts';

/** Descending keys, so that they must be sorted. */
function puts(firstKey: number, count: number): TestRow[] {
  return Array.from({ length: count }, (_, i) => ({
    key: BigInt(firstKey + count - 1 - i),
    value: 1n,
  }));
}

/** Deletes one key as an interval. */
function deleted(key: bigint): TestRow {
  return { key, value: 0n, data: new Uint8Array(BigUint64Array.of(key).buffer) };
}

test.each(['between two groups', 'at the end'])(
  'long and short parts keep their order when they are sorted %s',
  (when) => {
    const parts = new LogParts();
    const first = [
      ...puts(1_000, 5),
      deleted(1n),
      ...puts(10_000, 5_000),
      deleted(2n),
      ...puts(20_000, 6),
      deleted(3n),
      ...puts(30_000, 4_000),
      deleted(4n),
      ...puts(40_000, 7),
    ];
    parts.add({ rows: groupOf([first]).decoded, hasIntervals: true });
    expect(parts.isWorkDue).toBe(true);
    if (when === 'between two groups') {
      finishSteps(parts.work());
      expect(parts.isWorkDue).toBe(false);
    }
    const second = [...puts(40_007, 3), deleted(5n), ...puts(50_000, 8)];
    parts.add({ rows: groupOf([second]).decoded, hasIntervals: true });
    const found = finishSteps(parts.finish()).map(({ run, interval }) => [
      run[0]!.firstKey,
      run.reduce((sum, { recordCount }) => sum + recordCount, 0),
      interval?.lowest,
    ]);
    expect(found).toEqual([
      [1_000n, 5, 1n],
      [10_000n, 5_000, 2n],
      [20_000n, 6, 3n],
      [30_000n, 4_000, 4n],
      [40_000n, 10, 5n],
      [50_000n, 8, undefined],
    ]);
  },
);
