import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { comparisonLines } from '../bench/lib/comparison-table.mjs';
import { ratioSpread } from '../bench/lib/figures.mjs';
import { goal, leastRatio } from '../bench/lib/section.mjs';
import { RIVALS } from '../bench/peers/index.mjs';

describe('the bench', () => {
  it('numbers each row once', () => {
    const folder = new URL('../bench/rows/', import.meta.url);
    const places = readdirSync(folder).map((file) => {
      const text = readFileSync(new URL(file, folder), 'utf8');
      return Number(/^export const place = (\d+);$/m.exec(text)?.[1]);
    });
    expect(places.sort((a, b) => a - b)).toEqual(Array.from(places, (_, i) => i));
  });

  it('compares round by round; a ratio above 1 means that our time is smaller', () => {
    expect(ratioSpread([10, 40, 20], [10, 20, 20], 'more')).toEqual({ median: 1, min: 1, max: 2 });
    expect(ratioSpread([2], [6], 'less')).toEqual({ median: 3, min: 3, max: 3 });
  });

  it('gives the widest spread if the numbers of rounds differ, and none without figures', () => {
    expect(ratioSpread([10, 20, 30], [10], 'more')).toEqual({ median: 2, min: 1, max: 3 });
    expect(ratioSpread([], [1], 'more')).toBeUndefined();
  });

  it('compares a goal with the best peer', () => {
    const ratios = { lmdb: spreadOf(2), rocksdb: spreadOf(0.9), 'better-sqlite3': spreadOf(0.5) };
    const { peer, ratio } = leastRatio(ratios, ['lmdb', 'rocksdb', 'classic-level']);
    expect(peer).toBe('rocksdb');
    expect(goal('at least 1 x', ratio, { atLeast: 1 }, String).met).toBe(false);
  });

  it('does not count an unmeasured goal as met', () => {
    expect(goal('at most 5 ms', undefined, { atMost: 5 }, String).met).toBe(false);
    expect(goal('at most 5 ms', Number.NaN, { atMost: 5 }, String).met).toBe(false);
  });

  it('counts the comparisons in which every round was won or lost', () => {
    const ratios = {
      lmdb: { median: 2, min: 1.5, max: 3 },
      rocksdb: { median: 0.5, min: 0.4, max: 0.9 },
      'classic-level': { median: 1, min: 0.9, max: 1.1 },
      'better-sqlite3': undefined,
    };
    const comparison = { what: 'one thing', commits: 'default' as const, ratios };
    const section = { text: '', tables: [], charts: [], goals: [], comparisons: [comparison] };
    const names = Object.fromEntries(RIVALS.map((peer) => [peer, peer]));
    const text = comparisonLines([{ place: 7, section }], names).join('\n');
    expect(text).toContain(
      'Of 3 comparisons, lodestore is ahead in every round in 1, behind in every round in 1',
    );
    expect(text).toContain('| 7 | one thing | 2.00 (1.50 – 3.00) | 1.00 (0.90 – 1.10) |');
  });
});

function spreadOf(value: number): { median: number; min: number; max: number } {
  return { median: value, min: value, max: value };
}
