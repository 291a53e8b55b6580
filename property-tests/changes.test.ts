import { deepStrictEqual, ok } from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MetadataStore, Update } from '../src/index.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';
import { textOf } from '../test/support/feed.ts';

/** Long logs rotate, so that feeds follow chains of them. */
const OPTIONS = { mergeBytes: 2 ** 40, rotateBytes: 65_536 };

type Step =
  | { readonly kind: 'batches'; readonly sizes: number[]; readonly isDeferred: boolean }
  | { readonly kind: 'sync' | 'merge' | 'reopen' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('batches' as const),
      sizes: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
      isDeferred: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('sync', 'merge', 'reopen') }) },
);

/**
 * A moment at which the machine may stop: the disk, the follower's state, and what was
 * acknowledged.
 */
interface Moment {
  readonly fs: CrashFs;
  readonly seen: number;
  readonly durable: number;
}

/** Batch n puts key n, and deletes or changes some earlier keys. */
function batchOf(number: number, size: number): Update[] {
  const updates: Update[] = [
    { type: 'put', key: number, value: number, data: Buffer.from('x'.repeat(number % 40)) },
  ];
  for (let i = 1; i < size; i++) updates.push({ type: 'del', key: Math.max(0, number - i * 3) });
  return updates;
}

function lineOf(number: number, size: number): string {
  const updates = batchOf(number, size);
  const texts = updates.map((one) =>
    one.type === 'put'
      ? `${one.key}=${one.value}:${Buffer.from(one.data!).toString()}`
      : one.type === 'deleteRange'
        ? `-${one.gte}..${one.lte}`
        : `-${one.key}`,
  );
  return `${number} ${texts.join(' ')}`;
}

/** Runs a program beside a follower that resumes from its position after each reopen. */
class World {
  readonly lines: string[] = [];
  readonly seen: string[] = [];
  readonly moments: Moment[] = [];
  readonly #retainBytes: number;
  #durable = 0;
  readonly #fs: CrashFs;
  #store!: MetadataStore;
  #following: Promise<void> = Promise.resolve();

  constructor(retainBytes: number) {
    this.#retainBytes = retainBytes;
    this.#fs = new CrashFs({ onCrashPoint: ({ fs }) => this.note(fs) });
  }

  note(fs: CrashFs): void {
    const common = { seen: this.seen.length, durable: this.#durable };
    this.moments.push({ fs: fs.minimalCrash(), ...common });
    this.moments.push({ fs: fs.kill(), ...common });
    for (const state of fs.crashStates({ cap: 2, seed: this.moments.length })) {
      this.moments.push({ fs: fs.materialise(state, { trace: false }), ...common });
    }
  }

  open(fs: CrashFs): Promise<MetadataStore> {
    return openOn(fs, '/s', { ...OPTIONS, retain: { bytes: this.#retainBytes } });
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.#fs.makeDirectory('/s');
    await this.#fs.syncDirectory('/');
    await this.#reopen();
    for (const one of steps) await this.#step(one);
    await this.#store.sync();
    while (this.seen.length < this.lines.length) await Promise.resolve();
    await this.#store.close();
    await this.#following;
    this.note(this.#fs);
  }

  async #reopen(): Promise<void> {
    this.#store = await this.open(this.#fs);
    this.#following = this.#follow(this.#store);
  }

  async #follow(store: MetadataStore): Promise<void> {
    for await (const change of store.changes({ after: this.seen.length })) {
      this.seen.push(textOf(change));
    }
  }

  async #step(one: Step): Promise<void> {
    if (one.kind === 'batches') {
      await Promise.all(
        one.sizes.map((size) => {
          const number = this.lines.length + 1;
          this.lines.push(lineOf(number, size));
          const durability = one.isDeferred ? 'deferred' : 'sync';
          return this.#store.insertBatch(batchOf(number, size), { durability });
        }),
      );
      if (!one.isDeferred) this.#durable = this.lines.length;
    } else if (one.kind === 'sync') {
      await this.#store.sync();
      this.#durable = this.lines.length;
    } else if (one.kind === 'merge') {
      await this.#store.merge();
      this.#durable = this.lines.length;
    } else {
      await this.#store.close();
      this.#durable = this.lines.length;
      await this.#following;
      await this.#reopen();
    }
  }
}

/** The batches of a feed that starts after `after`, up to the end of the store. */
async function resume(store: MetadataStore, after: number): Promise<string[]> {
  const lines: string[] = [];
  const last = store.stats().lastSequence;
  if (BigInt(after) === last) return lines;
  for await (const change of store.changes({ after })) {
    lines.push(textOf(change));
    if (change.sequence === last) break;
  }
  return lines;
}

async function check(world: World, moment: Moment): Promise<void> {
  if ((await moment.fs.stat('/s').catch(() => undefined)) === undefined) return;
  const store = await world.open(moment.fs);
  const count = Number(store.stats().lastSequence);
  // Everything acknowledged as durable is there, and everything that was shown.
  ok(count >= moment.durable, 'a batch that was acknowledged is lost');
  ok(count >= moment.seen, 'a batch that was shown is lost');
  ok(count <= world.lines.length, 'a batch is there that nobody wrote');
  const oldest = Number(store.stats().changes.oldestPosition);
  for (const after of new Set([moment.seen, oldest])) {
    if (after < oldest) continue;
    deepStrictEqual(await resume(store, after), world.lines.slice(after, count));
  }
  await store.close();
}

test.each([
  ['all logs are retained', 2 ** 30],
  ['a few logs are retained', 700_000],
])(
  'after any crash, a feed yields exactly the batches of the store, and has shown no others (%s)',
  { timeout: 300_000 },
  async (_what, retainBytes) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
        const world = new World(retainBytes);
        await world.run(steps);
        expect(world.seen).toEqual(world.lines);
        for (const moment of world.moments) await check(world, moment);
      }),
      { numRuns: runs(12) },
    );
  },
);
