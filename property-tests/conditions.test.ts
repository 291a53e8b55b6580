import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConditionFailedError, type MetadataStore, type Update } from '../src/index.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';

/** `expected` is undefined for an update without a condition, 0 for "no record". */
interface PlannedUpdate {
  readonly key: number;
  /** 0 deletes. */
  readonly value: number;
  readonly expected: number | undefined;
}

type PlannedBatch = readonly PlannedUpdate[];

/** Key to value; what the store holds after some batches. */
type Model = ReadonlyMap<number, number>;

type Verdict = 'applied' | { readonly index: number; readonly found: bigint | undefined };

function toUpdate({ key, value, expected }: PlannedUpdate): Update {
  const condition =
    expected === undefined ? {} : expected === 0 ? { ifAbsent: true } : { ifValue: expected };
  return value === 0
    ? { type: 'del', key, ...condition }
    : { type: 'put', key, value, ...condition };
}

/** The rule, as plainly as it can be said: every condition against the state before the batch. */
function applyTo(model: Model, batch: PlannedBatch): { verdict: Verdict; after: Model } {
  for (const [index, { key, expected }] of batch.entries()) {
    const found = model.get(key);
    if (expected === undefined || expected === (found ?? 0)) continue;
    const verdict = { index, found: found === undefined ? undefined : BigInt(found) };
    return { verdict, after: model };
  }
  const after = new Map(model);
  for (const { key, value } of batch) {
    if (value === 0) after.delete(key);
    else after.set(key, value);
  }
  return { verdict: 'applied', after };
}

async function verdictOf(promise: Promise<void>): Promise<Verdict> {
  try {
    await promise;
    return 'applied';
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    return { index: error.index, found: error.found };
  }
}

function contents(store: MetadataStore): [number, number][] {
  return [...store.entries()].map(([key, { value }]) => [Number(key), Number(value)]);
}

function contentsOf(model: Model): [number, number][] {
  return [...model].sort(([a], [b]) => a - b);
}

// Few keys and values, so that about half of the conditions hold.
const update: fc.Arbitrary<PlannedUpdate> = fc.record({
  key: fc.nat(4),
  value: fc.nat(3),
  expected: fc.option(fc.nat(3), { nil: undefined, freq: 2 }),
});
const batch = fc.array(update, { minLength: 1, maxLength: 4 });
const burst = fc.array(batch, { minLength: 1, maxLength: 12 });
const program = fc.array(fc.record({ burst, merges: fc.boolean() }), {
  minLength: 1,
  maxLength: 6,
});

test('verdicts and contents are those of a plain map, with bursts, merges and a reopening', async () => {
  const result = await fc.check(
    fc.asyncProperty(program, async (steps) => {
      const fs = new CrashFs({ trace: false });
      let store = await openOn(fs, '/s');
      let model: Model = new Map();
      for (const step of steps) {
        const expected: Verdict[] = [];
        const verdicts: Promise<Verdict>[] = [];
        const merged = step.merges ? store.merge() : undefined;
        for (const planned of step.burst) {
          const judged = applyTo(model, planned);
          expected.push(judged.verdict);
          model = judged.after;
          verdicts.push(verdictOf(store.insertBatch(planned.map(toUpdate))));
        }
        expect(await Promise.all(verdicts)).toEqual(expected);
        await merged;
        expect(contents(store)).toEqual(contentsOf(model));
      }
      await store.close();
      store = await openOn(fs, '/s');
      expect(contents(store)).toEqual(contentsOf(model));
      await store.close();
    }),
    { numRuns: runs(400) },
  );
  expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
});

test('after a crash at any sync there is a prefix of what the rule applies, and all that was told', async () => {
  let recoveredStates = 0;
  const result = await fc.check(
    fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 16 }), async (batches) => {
      /** The state after each batch, whether it was applied or not. */
      const states: Model[] = [new Map()];
      for (const planned of batches) states.push(applyTo(states.at(-1)!, planned).after);
      let told = 0;
      const crashes: { fs: CrashFs; told: number }[] = [];
      const fs = new CrashFs({
        trace: false,
        onCrashPoint: ({ fs: now }) => {
          crashes.push({ fs: now.minimalCrash(), told }, { fs: now.kill(), told });
        },
      });
      await fs.makeDirectory('/s');
      await fs.syncDirectory('/');
      crashes.length = 0;
      const store = await openOn(fs, '/s');
      await Promise.all(
        batches.map(async (planned, at) => {
          await verdictOf(store.insertBatch(planned.map(toUpdate)));
          told = Math.max(told, at + 1);
          crashes.push({ fs: fs.minimalCrash(), told });
        }),
      );
      for (const crash of crashes) {
        const recovered = await openOn(crash.fs, '/s');
        expect(states.slice(crash.told).map(contentsOf)).toContainEqual(contents(recovered));
        await recovered.close();
        recoveredStates++;
      }
      await store.close();
    }),
    { numRuns: runs(40) },
  );
  expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
  expect(recoveredStates).toBeGreaterThan(400);
});
