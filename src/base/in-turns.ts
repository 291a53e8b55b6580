import { assert } from './assert.ts';

/**
 * Runs `work` on every item, at most `limit` at a time, and resolves with the results in the order of
 * the items. After a failure no further item is begun; rejects with the first failure once all that
 * were begun have ended.
 */
export async function inTurns<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  assert(limit >= 1, 'at least one item is worked on at a time');
  const results: Result[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await work(items[index]!);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
