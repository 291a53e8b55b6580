import { expect, test } from 'vitest';
import type { MetadataStore } from '../../src/index.ts';
import { CrashFs, openOn, type CrashPoint } from '../../src/testing/index.ts';
import { runs } from '../support/effort.ts';

/** Records as key -> "value:data", so that two states compare in one assertion. */
function contents(store: MetadataStore): Map<bigint, string> {
  const records = new Map<bigint, string>();
  for (const [key, { value, data }] of store.entries()) {
    records.set(key, `${value}:${Buffer.from(data).toString('hex')}`);
  }
  return records;
}

interface Step {
  readonly name: string;
  readonly run: (store: MetadataStore) => Promise<unknown>;
  /** Applies the acknowledged step to the model. */
  readonly apply: (model: Map<bigint, string>) => void;
}

function put(key: number, value: number, data = ''): Step {
  const bytes = Buffer.from(data);
  return {
    name: `put ${key}`,
    run: (store) => store.insertBatch([{ type: 'put', key, value, data: bytes }]),
    apply: (model) => model.set(BigInt(key), `${value}:${bytes.toString('hex')}`),
  };
}

function del(key: number): Step {
  return {
    name: `del ${key}`,
    run: (store) => store.insertBatch([{ type: 'del', key }]),
    apply: (model) => model.delete(BigInt(key)),
  };
}

const merge: Step = { name: 'merge', run: (store) => store.merge(), apply: () => undefined };

const PROGRAM: Step[] = [
  put(1, 10, 'one'),
  put(2, 20),
  del(1),
  merge,
  put(3, 30, 'three'.repeat(50)),
  put(2, 21),
  merge,
  del(3),
  put(4, 40),
];

async function runProgram(
  model: 'posix' | 'ordered' | 'linked',
  onPoint: (fs: CrashFs, legal: Map<bigint, string>[]) => void,
): Promise<void> {
  // The acknowledged state, and the state with the step in flight.
  let legal: Map<bigint, string>[] = [new Map()];
  const fs = new CrashFs({
    model,
    onCrashPoint: (point: CrashPoint) => onPoint(point.fs, legal),
  });
  await fs.makeDirectory('/s');
  await fs.syncDirectory('/');
  const store = await openOn(fs, '/s');
  for (const step of PROGRAM) {
    const before = legal.at(-1)!;
    const after = new Map(before);
    step.apply(after);
    legal = [before, after];
    await step.run(store);
    legal = [after];
    onPoint(fs, legal);
  }
  await store.close();
  onPoint(fs, legal);
}

for (const model of ['posix', 'ordered', 'linked'] as const) {
  test(`a crash that loses everything unsynced, at every sync and after every step (${model})`, async () => {
    const crashed: { fs: CrashFs; legal: Map<bigint, string>[] }[] = [];
    await runProgram(model, (fs, legal) => {
      crashed.push({ fs: fs.minimalCrash(), legal });
      crashed.push({ fs: fs.kill(), legal });
    });
    expect(crashed.length).toBeGreaterThan(40);
    for (const { fs, legal } of crashed) {
      const exists = await fs.stat('/s').catch(() => undefined);
      if (exists === undefined) continue;
      const store = await openOn(fs, '/s');
      const found = contents(store);
      expect(legal).toContainEqual(found);
      expect(store.size).toBe(found.size);
      await store.insertBatch([{ type: 'put', key: 99, value: 1 }]);
      const again = fs.minimalCrash();
      const reopened = await openOn(again, '/s');
      expect(contents(reopened)).toEqual(new Map(found).set(99n, '1:'));
      await reopened.close();
      await store.close();
    }
  });
}

/** States at each sync. In a short run, each run has others. */
const CAP = runs(40);
const SEED = Math.floor(Math.random() * 2 ** 31);

test('every legal crash state of a short program recovers to a legal state', async () => {
  let states = 0;
  const failures: string[] = [];
  const pending: { fs: CrashFs; legal: Map<bigint, string>[] }[] = [];
  await runProgram('posix', (fs, legal) => {
    for (const state of fs.crashStates({ cap: CAP, seed: SEED })) {
      pending.push({ fs: fs.materialise(state, { trace: false }), legal });
    }
  });
  for (const { fs, legal } of pending) {
    if ((await fs.stat('/s').catch(() => undefined)) === undefined) continue;
    states++;
    try {
      const store = await openOn(fs, '/s');
      const found = contents(store);
      const isLegal = legal.some(
        (one) =>
          one.size === found.size && [...one].every(([key, value]) => found.get(key) === value),
      );
      if (!isLegal) failures.push(`seed ${SEED}: not legal: ${[...found].join(' ')}`);
      await store.close();
    } catch (error) {
      failures.push(`seed ${SEED}: ${String(error)}`);
    }
  }
  expect(failures.slice(0, 5)).toEqual([]);
  expect(states).toBeGreaterThan(5 * CAP);
});

test('a truncated group does not return although a kill kept the truncation from being synced', async () => {
  for (const cutTo of [0, 150]) {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s');
    await store.insertBatch([{ type: 'put', key: 1, value: 1 }]);
    await store.close();
    // The close has claimed the group. Remove the claim, because here the group is rejected.
    await fs.unlink('/s/lodestore.lock');
    await fs.syncDirectory('/s');
    // What the rejection of a group does to its log, up to the kill.
    const file = await fs.open('/s/log_0000000000000001', 'r+');
    await file.truncate(cutTo);
    await file.close();
    const killed = fs.kill();
    const served = await openOn(killed, '/s');
    expect(served.size).toBe(0);
    const again = await openOn(killed.minimalCrash(), '/s');
    expect(again.size, `cut to ${cutTo} bytes`).toBe(0);
    await again.close();
  }
});
