import { describe, expect, it } from 'vitest';
import { CrashFs } from '../../src/testing/index.ts';
import { outcomes, run, tree } from './machine.ts';

/** Three files with unsynced writes of several sectors, and `names` pending creations. */
async function busy(names: number): Promise<CrashFs> {
  const fs = CrashFs.withFiles({
    '/a': run('O', 2048),
    '/b': run('O', 2048),
    '/c': run('O', 2048),
  });
  for (const path of ['/a', '/b', '/c']) {
    const file = await fs.open(path, 'r+');
    for (let nth = 0; nth < 4; nth++) await file.write(run(String(nth), 1500), nth * 1500);
  }
  for (let nth = 0; nth < names; nth++) await fs.open(`/new${nth}`, 'wx');
  return fs;
}

describe('the enumeration', () => {
  it('returns every tree once, including the minimal one first and the complete one', async () => {
    const fs = await busy(2);
    const states = fs.crashStates();
    const trees = [...states].map((state) => tree(fs.materialise(state)));
    expect(new Set(trees).size).toBe(trees.length);
    expect(trees[0]).toBe(tree(fs.minimalCrash()));
    expect(trees).toContain(tree(fs));
    const { raw, distinct, capped } = states.counts;
    expect(distinct).toBe(trees.length);
    expect(raw).toBeGreaterThan(distinct);
    expect(capped).toBe(0);
  });

  it('varies one file while the others keep nothing, and while they keep everything (E4)', async () => {
    const fs = CrashFs.withFiles({ '/a': run('O', 4), '/b': run('O', 4) });
    for (const path of ['/a', '/b']) {
      const file = await fs.open(path, 'r+');
      await file.write(run('N', 4), 0);
    }
    expect(outcomes(fs)).toEqual(['/a=N4;/b=N4', '/a=N4;/b=O4', '/a=O4;/b=N4', '/a=O4;/b=O4']);
  });

  it('includes all subsets of five pending names; of more: prefixes, single ones, all but one (E2)', async () => {
    const five = new CrashFs();
    for (let nth = 0; nth < 5; nth++) await five.open(`/f${nth}`, 'wx');
    expect(outcomes(five)).toHaveLength(32);
    const eight = new CrashFs();
    for (let nth = 0; nth < 8; nth++) await eight.open(`/f${nth}`, 'wx');
    // 9 prefixes; 8 single names, of which the first is also a prefix; 8 without one name, of which
    // the last is also a prefix.
    expect(outcomes(eight)).toHaveLength(9 + 7 + 7);
  });

  it('samples above the cap, differently for each seed, always with the minimal state (E6)', async () => {
    const fs = await busy(5);
    const all = [...fs.crashStates()].map((state) => state.hash);
    const states = fs.crashStates({ cap: 200, seed: 1 });
    const sample = [...states].map((state) => state.hash);
    expect(sample.length).toBeLessThanOrEqual(200);
    expect(sample.length).toBeGreaterThan(100);
    expect(sample[0]).toBe(all[0]);
    expect(all).toEqual(expect.arrayContaining(sample));
    expect(states.counts.capped).toBeGreaterThan(0);
    expect([...fs.crashStates({ cap: 200, seed: 1 })].map(({ hash }) => hash)).toEqual(sample);
    expect([...fs.crashStates({ cap: 200, seed: 2 })].map(({ hash }) => hash)).not.toEqual(sample);
  });

  it('is lazy', async () => {
    const fs = await busy(5);
    const states = fs.crashStates();
    for (const state of states) {
      expect(tree(fs.materialise(state))).toBe(tree(fs.minimalCrash()));
      break;
    }
    expect(states.counts.distinct).toBe(1);
  });

  it('gives equal trees equal hashes, whatever their origin', async () => {
    const fs = CrashFs.withFiles({ '/d/f': run('A', 70) });
    const made = new CrashFs();
    await made.makeDirectory('/d');
    const file = await made.open('/d/f', 'wx');
    await file.write(run('B', 90), 0);
    await file.truncate(0);
    await file.write(run('A', 70), 0);
    expect(made.hash()).toBe(fs.hash());
    await file.write(run('B', 1), 69);
    expect(made.hash()).not.toBe(fs.hash());
  });

  it('describes what a state kept', async () => {
    const fs = CrashFs.withFiles({ '/f': run('O', 4) });
    const file = await fs.open('/f', 'r+');
    await file.write(run('N', 4), 0);
    await fs.rename('/f', '/g');
    expect([...fs.crashStates()].map((state) => state.describe())).toEqual([
      'lost rename f to g; /f: nothing',
      'lost rename f to g; /f: everything',
      'kept rename f to g; /g: nothing',
      'kept rename f to g; /g: everything',
    ]);
  });
});
