import { expect, test } from 'vitest';
import { inTurns } from '../../src/base/in-turns.ts';

test('items are worked on a few at a time, and results keep their order', async () => {
  let running = 0;
  let most = 0;
  const results = await inTurns([5, 1, 4, 2, 3], 2, async (item) => {
    running++;
    most = Math.max(most, running);
    for (let i = 0; i < item; i++) await Promise.resolve();
    running--;
    return item * 10;
  });
  expect(results).toEqual([50, 10, 40, 20, 30]);
  expect(most).toBe(2);
  expect(await inTurns([], 3, () => Promise.reject(new Error('none is called')))).toEqual([]);
});

test('after a failure nothing more is begun, and what runs has ended before it is told', async () => {
  const begun: number[] = [];
  let hasEnded = false;
  const all = inTurns([1, 2, 3, 4], 2, async (item) => {
    begun.push(item);
    if (item === 1) throw new Error('the first');
    for (let i = 0; i < 20; i++) await Promise.resolve();
    hasEnded = true;
    throw new Error('a later one');
  });
  await expect(all).rejects.toThrow('the first');
  expect(begun).toEqual([1, 2]);
  expect(hasEnded).toBe(true);
});
