import { expect, test, vi } from 'vitest';
import { WriteBatch } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { randomWords } from '../support/random.ts';

const taken = vi.hoisted(() => ({ bytes: 0 }));

vi.mock('../../src/base/uncounted-memory.ts', async (original) => {
  const { uncountedWords } = await original<typeof import('../../src/base/uncounted-memory.ts')>();
  return {
    uncountedWords: (count: number): Uint32Array => {
      taken.bytes += 4 * count;
      return uncountedWords(count);
    },
  };
});

/** Without data. */
const ROW_BYTES = 20;
const ROWS = 120_000;

test.each(['random', 'ascending'])(
  'memory that V8 does not count is at most five times that of the rows of puts, which it counts: %s keys',
  async (kind) => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', { mergeBytes: 2 ** 40 });
    const words = randomWords(5);
    taken.bytes = 0;
    for (let i = 0; i < ROWS;) {
      const batch = new WriteBatch();
      for (let j = 0; j < 2_000; j++, i++) batch.put(kind === 'random' ? words() : i, i + 1);
      await store.insertBatch(batch);
      // Each iteration orders the rows that are new.
      expect([...store.keys({ limit: 1 })]).toHaveLength(1);
    }
    expect(taken.bytes).toBeGreaterThan(0);
    expect(taken.bytes).toBeLessThan(5 * ROWS * ROW_BYTES);
    await store.close();
  },
);
