import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ConditionFailedError,
  type Condition,
  type MetadataStore,
  type Update,
} from '../src/index.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';

/** The condition of an update. `newer` only applies to puts. */
type PlannedCondition =
  | { readonly asks: 'nothing' }
  | { readonly asks: 'absent' }
  | { readonly asks: 'value'; readonly allowed: readonly number[] }
  | { readonly asks: 'data'; readonly byte: number }
  | { readonly asks: 'value and data'; readonly allowed: readonly number[]; readonly byte: number }
  | { readonly asks: 'newer' };

interface PlannedUpdate {
  readonly key: number;
  /** 0 deletes. */
  readonly value: number;
  /** The only byte of a put's data. */
  readonly byte: number;
  readonly condition: PlannedCondition;
}

type PlannedBatch = readonly PlannedUpdate[];

interface ModelRecord {
  readonly value: number;
  readonly byte: number;
}

/** The contents of the store after some batches. */
type Model = ReadonlyMap<number, ModelRecord>;

type Verdict = 'applied' | { readonly index: number; readonly found: bigint | undefined };

function toCondition(condition: PlannedCondition): Condition {
  switch (condition.asks) {
    case 'nothing':
      return {};
    case 'absent':
      return { ifAbsent: true };
    case 'value':
      return { ifValue: condition.allowed.length === 1 ? condition.allowed[0] : condition.allowed };
    case 'data':
      return { ifData: Uint8Array.of(condition.byte) };
    case 'value and data':
      return { ifValue: condition.allowed, ifData: Uint8Array.of(condition.byte) };
    case 'newer':
      return { ifNewer: true };
  }
}

function toUpdate({ key, value, byte, condition }: PlannedUpdate): Update {
  if (value > 0) {
    return { type: 'put', key, value, data: Uint8Array.of(byte), ...toCondition(condition) };
  }
  const asked = condition.asks === 'newer' ? {} : toCondition(condition);
  return { type: byte % 2 === 0 ? 'delete' : 'del', key, ...asked };
}

function holds({ value, condition }: PlannedUpdate, found: ModelRecord | undefined): boolean {
  switch (condition.asks) {
    case 'nothing':
      return true;
    case 'absent':
      return found === undefined;
    case 'value':
      return found !== undefined && condition.allowed.includes(found.value);
    case 'data':
      return found?.byte === condition.byte;
    case 'value and data':
      return found?.byte === condition.byte && condition.allowed.includes(found.value);
    case 'newer':
      return value === 0 || found === undefined || found.value < value;
  }
}

/**
 * The rule in its simplest form: every condition is evaluated against the state before the batch.
 */
function applyTo(model: Model, batch: PlannedBatch): { verdict: Verdict; after: Model } {
  for (const [index, update] of batch.entries()) {
    const found = model.get(update.key);
    if (holds(update, found)) continue;
    const verdict = { index, found: found === undefined ? undefined : BigInt(found.value) };
    return { verdict, after: model };
  }
  const after = new Map(model);
  for (const { key, value, byte } of batch) {
    if (value === 0) after.delete(key);
    else after.set(key, { value, byte });
  }
  return { verdict: 'applied', after };
}

async function verdictOf(promise: Promise<unknown>): Promise<Verdict> {
  try {
    await promise;
    return 'applied';
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    return { index: error.index, found: error.found };
  }
}

function contents(store: MetadataStore): [number, ModelRecord][] {
  return [...store.entries()].map(([key, { value, data }]) => {
    return [Number(key), { value: Number(value), byte: data[0]! }];
  });
}

function contentsOf(model: Model): [number, ModelRecord][] {
  return [...model].sort(([a], [b]) => a - b);
}

// Few keys, values and bytes, so that about half of the conditions hold.
const byte = fc.nat(1);
const allowed = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 2 });
const condition: fc.Arbitrary<PlannedCondition> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ asks: 'nothing' as const }) },
  fc.constant({ asks: 'absent' as const }),
  fc.record({ asks: fc.constant('value' as const), allowed }),
  fc.record({ asks: fc.constant('data' as const), byte }),
  fc.record({ asks: fc.constant('value and data' as const), allowed, byte }),
  fc.constant({ asks: 'newer' as const }),
);
const update: fc.Arbitrary<PlannedUpdate> = fc.record({
  key: fc.nat(4),
  value: fc.nat(3),
  byte,
  condition,
});
const batch = fc.array(update, { minLength: 1, maxLength: 4 });
const burst = fc.array(batch, { minLength: 1, maxLength: 12 });
const program = fc.array(fc.record({ burst, merges: fc.boolean() }), {
  minLength: 1,
  maxLength: 6,
});

test('verdicts and contents equal those of a plain map, with bursts, merges and a reopen', async () => {
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

test('a crash at any sync leaves a prefix of the applied batches that covers every reported verdict', async () => {
  let recoveredStates = 0;
  const result = await fc.check(
    fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 16 }), async (batches) => {
      /** The state after each batch, applied or not. */
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
  // Ten per program on average.
  expect(recoveredStates).toBeGreaterThan(10 * runs(40));
});
