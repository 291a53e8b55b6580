import { expect, test, vi } from 'vitest';
import { begin, finishAtOnce, type Flow } from '../../src/base/flow.ts';
import { WorkSlices } from '../../src/base/work-slices.ts';

function* work(slices: WorkSlices, checks: number): Flow<number> {
  for (let i = 0; i < checks; i++) yield* slices.rest();
  return checks;
}

test('work yields when its slice is over, and at each check of a slice without length', async () => {
  const pause = vi.fn<() => Promise<void>>(() => Promise.resolve());
  expect(await begin(work(new WorkSlices({ pause, sliceMs: 0 }), 3))).toBe(3);
  expect(pause).toHaveBeenCalledTimes(3);
  expect(finishAtOnce(work(new WorkSlices({ pause, sliceMs: 2 ** 40 }), 3))).toBe(3);
  expect(pause).toHaveBeenCalledTimes(3);
});

test('work that cannot yield runs to its end', () => {
  expect(finishAtOnce(work(new WorkSlices(undefined), 3))).toBe(3);
});
