import { describe, expect, it } from 'vitest';

import { KeyFilter } from '../../src/table/base/key-filter.ts';
import { randomWords } from '../support/random.ts';

describe('KeyFilter', () => {
  it.each([1, 4, 5, 1_000, 50_000])('lets its %d keys pass, and few others', (count) => {
    const filter = new KeyFilter(count);
    const words = randomWords(count);
    const keys = Array.from({ length: count }, () => [words(), words()] as const);
    for (const [low, high] of keys) filter.add(low, high);
    expect(keys.every(([low, high]) => filter.mayHold(low, high))).toBe(true);
    let passed = 0;
    for (let i = 0; i < 10_000; i++) if (filter.mayHold(words(), words())) passed++;
    expect(passed).toBeLessThan(1_000);
    expect(filter.memoryBytes).toBeLessThanOrEqual(Math.max(4, 2 * count));
  });

  it('distinguishes keys that differ in one half only', () => {
    const filter = new KeyFilter(1_000);
    for (let i = 0; i < 1_000; i++) filter.add(i, 7);
    let passed = 0;
    for (let i = 0; i < 1_000; i++) if (filter.mayHold(i, 8) || filter.mayHold(7, i + 9)) passed++;
    expect(passed).toBeLessThan(200);
  });
});
