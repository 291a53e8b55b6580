import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WriteBatch, type StoreError, type Update } from '../src/index.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';

/** When the signal of a batch is aborted, in turns of the microtask queue after the insert. */
type AbortTurn = number | 'before' | 'never';

type Command =
  | {
      readonly kind: 'batch';
      readonly form: 'array' | 'WriteBatch';
      readonly updates: number;
      readonly dataBytes: number;
      readonly durability: 'sync' | 'deferred';
      readonly abort: AbortTurn;
      /** Whether the batch uses the shared signal or a separate one. */
      readonly isSignalShared: boolean;
    }
  | { readonly kind: 'turns'; readonly count: number }
  | { readonly kind: 'abort-shared' }
  | { readonly kind: 'sync' }
  | { readonly kind: 'merge' };

interface Program {
  readonly queueBytes: number;
  readonly queueBatches: number;
  readonly commands: readonly Command[];
}

type Outcome = 'applied' | 'aborted' | 'pending' | `other: ${string}`;

/** Many more turns of the event loop than any program needs. */
const PATIENCE = 200;

async function settleWithin(promises: readonly Promise<unknown>[]): Promise<void> {
  const settled = Promise.allSettled(promises).then(() => true);
  let isSettled = false;
  for (let turn = 0; turn < PATIENCE && !isSettled; turn++) {
    const nextTurn = new Promise<false>((resolve) => setImmediate(resolve, false));
    isSettled = await Promise.race([settled, nextTurn]);
  }
  expect(isSettled, 'every promise is settled').toBe(true);
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

function updatesOf(key: number, count: number, dataBytes: number): Update[] {
  return Array.from({ length: count }, (_, i) => ({
    type: 'put',
    key: key * 100 + i,
    value: 1,
    data: new Uint8Array(dataBytes),
  }));
}

function toWriteBatch(updates: readonly Update[]): WriteBatch {
  const batch = new WriteBatch();
  for (const update of updates) if (update.type === 'put') batch.put(update.key, 1, update.data);
  return batch;
}

const batch: fc.Arbitrary<Command> = fc.record({
  kind: fc.constant('batch' as const),
  form: fc.constantFrom('array' as const, 'WriteBatch' as const),
  updates: fc.constantFrom(0, 1, 1, 1, 3),
  dataBytes: fc.constantFrom(0, 10, 500, 3000),
  durability: fc.constantFrom('sync' as const, 'deferred' as const),
  abort: fc.oneof(
    fc.constant('never' as const),
    fc.constant('before' as const),
    fc.constant(0),
    fc.nat(40),
  ),
  isSignalShared: fc.boolean(),
});
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: batch },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'abort-shared' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'sync' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'merge' as const }) },
);
const program: fc.Arbitrary<Program> = fc.record({
  queueBytes: fc.constantFrom(1, 100, 1024, 4000, 1e6),
  queueBatches: fc.constantFrom(1, 2, 3, 1000),
  commands: fc.array(command, { minLength: 1, maxLength: 30 }),
});

interface Handed {
  readonly keys: readonly bigint[];
  readonly mayAbort: boolean;
  readonly isAbortedBefore: boolean;
  outcome: Outcome;
}

/** Runs the commands without waiting for any batch. Returns the batches and every promise. */
async function run(
  store: Awaited<ReturnType<typeof openOn>>,
  commands: readonly Command[],
): Promise<{ handed: Handed[]; promises: Promise<unknown>[] }> {
  const handed: Handed[] = [];
  const promises: Promise<unknown>[] = [];
  let shared = new AbortController();
  for (const [number, step] of commands.entries()) {
    if (step.kind === 'turns') await turns(step.count);
    else if (step.kind === 'sync') promises.push(store.sync());
    else if (step.kind === 'merge') promises.push(store.merge());
    else if (step.kind === 'abort-shared') {
      shared.abort();
      shared = new AbortController();
    } else {
      const abort = step.isSignalShared ? shared : new AbortController();
      if (step.abort === 'before' && !step.isSignalShared) abort.abort();
      const updates = updatesOf(number, step.updates, step.dataBytes);
      const source = step.form === 'array' ? updates : toWriteBatch(updates);
      const entry: Handed = {
        keys: updates.map((one) => BigInt('key' in one ? one.key : 0)),
        mayAbort: step.isSignalShared || step.abort !== 'never',
        isAbortedBefore: abort.signal.aborted,
        outcome: 'pending',
      };
      handed.push(entry);
      const { durability } = step;
      const written = store.insertBatch(source, { durability, signal: abort.signal });
      promises.push(
        written.then(
          () => (entry.outcome = 'applied'),
          (error: StoreError) => {
            const isAbort = error.code === 'LODESTORE_ABORTED' && error.outcome === 'not-applied';
            entry.outcome = isAbort ? 'aborted' : `other: ${error.message}`;
          },
        ),
      );
      if (typeof step.abort === 'number' && !step.isSignalShared) {
        promises.push(turns(step.abort).then(() => abort.abort()));
      }
    }
  }
  return { handed, promises };
}

test('batches aborted in any state are applied or rejected whole, and every promise settles', async () => {
  let aborted = 0;
  const result = await fc.check(
    fc.asyncProperty(program, async ({ queueBytes, queueBatches, commands }) => {
      const fs = new CrashFs({ trace: false });
      const store = await openOn(fs, '/s', { queueBytes, queueBatches });
      const { handed, promises } = await run(store, commands);
      await settleWithin([...promises, store.sync()]);
      const expected: bigint[] = [];
      for (const { keys, mayAbort, isAbortedBefore, outcome } of handed) {
        if (isAbortedBefore) expect(outcome).toBe('aborted');
        else if (!mayAbort) expect(outcome).toBe('applied');
        else expect(['applied', 'aborted']).toContain(outcome);
        if (outcome === 'applied') expected.push(...keys);
        else aborted++;
      }
      const { queue, state } = store.stats();
      expect(queue).toEqual({ batches: 0, bytes: 0, waitingBatches: 0 });
      expect(state).toBe('open');
      expect([...store.keys()]).toEqual(expected);
      await settleWithin([store.close()]);
      const reopened = await openOn(fs, '/s');
      expect([...reopened.keys()]).toEqual(expected);
      await reopened.close();
    }),
    { numRuns: runs(100) },
  );
  expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
  expect(aborted).toBeGreaterThan(0.3 * runs(100));
});
