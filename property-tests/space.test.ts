import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StoreFullError, type MetadataStore, type Update } from '../src/index.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';
import { randomWords } from '../test/support/random.ts';

const MIB = 1024 * 1024;
const MAX_BYTES = 4 * MIB;
const OPTIONS = { maxBytes: MAX_BYTES };

type Model = Map<bigint, { readonly value: bigint; readonly lengthBytes: number }>;

interface PlannedBatch {
  readonly firstKey: number;
  readonly count: number;
  /** 0 deletes. */
  readonly lengthBytes: number;
}

type Step =
  | { readonly kind: 'burst'; readonly batches: readonly PlannedBatch[] }
  | { readonly kind: 'merge' | 'close' | 'kill' | 'crash' };

const word = randomWords(3);
let nextValue = 1n;

function updatesOf({ firstKey, count, lengthBytes }: PlannedBatch): Update[] {
  return Array.from({ length: count }, (_, at) => {
    const key = BigInt(firstKey + at);
    if (lengthBytes === 0) return { type: 'del', key };
    const words = Uint32Array.from({ length: Math.ceil(lengthBytes / 4) }, word);
    return { type: 'put', key, value: nextValue++, data: new Uint8Array(words.buffer) };
  });
}

function apply(model: Model, updates: readonly Update[]): void {
  for (const update of updates) {
    if (update.type === 'deleteRange') throw new Error('no ranges are deleted here');
    const key = BigInt(update.key);
    if (update.type !== 'put') model.delete(key);
    else {
      model.set(key, { value: BigInt(update.value), lengthBytes: update.data!.length });
    }
  }
}

function requireSame(store: MetadataStore, model: Model): void {
  expect(store.size).toBe(model.size);
  for (const [key, { value, data }] of store.entries()) {
    expect({ value, lengthBytes: data.length }).toEqual(model.get(key));
  }
}

/** Resolves to whether it was applied. Only a lack of space may prevent it. */
async function isApplied(promise: Promise<unknown>): Promise<boolean> {
  try {
    await promise;
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(StoreFullError);
    expect((error as StoreFullError).outcome).toBe('not-applied');
    return false;
  }
}

/** Called at every sync, also during merges. */
function requireBytes(fs: CrashFs): void {
  let sum = 0;
  for (const [path, content] of fs.files()) {
    if (/(?:log_|snapshot_)[^/]*$/.test(path)) sum += content.length;
  }
  if (sum > MAX_BYTES) throw new Error(`the files take ${sum} of ${MAX_BYTES} bytes`);
}

class World {
  model: Model = new Map();
  refused = 0;
  #fs: CrashFs = new CrashFs({ trace: false, onCrashPoint: ({ fs }) => requireBytes(fs) });
  #store: MetadataStore | undefined;

  async run(step: Step): Promise<void> {
    this.#store ??= await openOn(this.#fs, '/s', OPTIONS);
    const store = this.#store;
    if (step.kind === 'merge') await store.merge();
    else if (step.kind === 'burst') await this.#burst(store, step.batches);
    else await this.#stop(store, step.kind);
    requireBytes(this.#fs);
  }

  async end(): Promise<void> {
    await this.#store?.close();
    const store = await openOn(this.#fs, '/s', OPTIONS);
    requireSame(store, this.model);
    await store.close();
  }

  async #burst(store: MetadataStore, batches: readonly PlannedBatch[]): Promise<void> {
    const written = batches.map(updatesOf);
    const results = await Promise.all(
      written.map((updates) => isApplied(store.insertBatch(updates))),
    );
    for (const [at, wasApplied] of results.entries()) {
      if (wasApplied) apply(this.model, written[at]!);
      else this.refused++;
    }
    requireSame(store, this.model);
  }

  async #stop(store: MetadataStore, kind: 'close' | 'kill' | 'crash'): Promise<void> {
    if (kind === 'close') await store.close();
    else {
      const before = this.#fs;
      this.#fs = kind === 'kill' ? before.kill() : before.minimalCrash();
      before.powerOff();
    }
    this.#store = await openOn(this.#fs, '/s', OPTIONS);
    requireSame(this.#store, this.model);
  }
}

const planned: fc.Arbitrary<PlannedBatch> = fc.record({
  firstKey: fc.nat(2_000),
  count: fc.integer({ min: 1, max: 60 }),
  lengthBytes: fc.oneof(
    { weight: 1, arbitrary: fc.constant(0) },
    { weight: 4, arbitrary: fc.constantFrom(40, 4_000, 8_000) },
  ),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('burst' as const),
      batches: fc.array(planned, { minLength: 1, maxLength: 8 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('merge' as const, 'close' as const, 'kill' as const, 'crash' as const),
    }),
  },
);

test('files stay below maxBytes through writes, merges and crashes, and the records are those applied', async () => {
  let refused = 0;
  const result = await fc.check(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      const world = new World();
      for (const one of steps) await world.run(one);
      await world.end();
      refused += world.refused;
    }),
    { numRuns: runs(20), endOnFailure: true },
  );
  expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
  expect(refused).toBeGreaterThan(runs(20));
});
