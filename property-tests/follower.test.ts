import { ok, strictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  PositionExpiredError,
  type ContentHash,
  type MetadataStore,
  type Update,
} from '../src/index.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';

const OPTIONS = { mergeBytes: 2 ** 40, rotateBytes: 65_536 };

const step = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    keys: fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 5 }),
    isDeferred: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('copy' as const), count: fc.integer({ min: 1, max: 6 }) }),
  fc.record({
    kind: fc.constantFrom('killLeader' as const, 'killFollower' as const),
    seed: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    isPowerLost: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('merge' as const) }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A store on its own machine, which can stop at any moment. */
class Side {
  fs: CrashFs = new CrashFs({ trace: false });
  store!: MetadataStore;
  readonly #options: object;

  constructor(options: object) {
    this.#options = options;
  }

  async open(): Promise<void> {
    this.store = await openOn(this.fs, '/s', this.#options);
  }

  async crash(seed: number, isPowerLost: boolean): Promise<void> {
    const after = isPowerLost ? this.fs.randomCrash(seed) : this.fs.kill();
    this.fs.powerOff();
    await this.store.close().catch(() => undefined);
    this.fs = after;
    await this.open();
  }
}

class Pair {
  readonly #leader: Side;
  #follower: Side = new Side(OPTIONS);
  #writes = 0;
  /** Copies restarted because the position had expired. */
  restarts = 0;

  constructor(retainBytes: number) {
    this.#leader = new Side({ ...OPTIONS, retain: { bytes: retainBytes } });
  }

  /** Returns the final contents of both. */
  async run(steps: readonly Step[]): Promise<{ led: ContentHash; followed: ContentHash }> {
    await this.#leader.open();
    await this.#follower.open();
    for (const one of steps) await this.#step(one);
    await this.#leader.store.sync();
    await this.#copy(Infinity);
    const [led, followed] = [this.#leader.store, this.#follower.store];
    const result = { led: await led.contentHash(), followed: await followed.contentHash() };
    await led.close();
    await followed.close();
    return result;
  }

  async #step(one: Step): Promise<void> {
    if (one.kind === 'write') await this.#write(one.keys, one.isDeferred);
    else if (one.kind === 'copy') await this.#copy(one.count);
    else if (one.kind === 'merge') await this.#leader.store.merge();
    else if (one.kind === 'killLeader') await this.#leader.crash(one.seed, one.isPowerLost);
    else await this.#follower.crash(one.seed, one.isPowerLost);
    // A copy is never ahead of what is durable on the leader.
    const { lastSequence } = this.#leader.store.stats();
    ok(this.#follower.store.stats().lastSequence <= lastSequence, 'a copy is ahead');
  }

  async #write(keys: readonly number[], isDeferred: boolean): Promise<void> {
    const value = ++this.#writes;
    const updates = keys.map((key): Update =>
      (key + value) % 3 === 0
        ? { type: 'del', key }
        : { type: 'put', key, value, data: Buffer.from(`${key} ${value}`) },
    );
    const durability = isDeferred ? 'deferred' : 'sync';
    await this.#leader.store.insertBatch(updates, { durability });
  }

  /** Copies up to `count` of the batches that are durable now. */
  async #copy(count: number): Promise<void> {
    const { store } = this.#follower;
    const after = store.stats().lastSequence;
    const goal = this.#leader.store.stats().lastSyncedSequence;
    if (after >= goal) return;
    let copied = 0;
    try {
      for await (const change of this.#leader.store.changes({ after })) {
        await store.insertBatch(change.updates, { durability: 'deferred' });
        strictEqual(store.stats().lastSequence, change.sequence);
        if (++copied === count || change.sequence === goal) break;
      }
    } catch (error) {
      if (!(error instanceof PositionExpiredError)) throw error;
      await this.#beginAgain();
    }
  }

  /** Copies the leader's files as a backup has them: snapshot and logs of one moment. */
  async #beginAgain(): Promise<void> {
    this.restarts++;
    await this.#follower.store.close();
    const files = [...this.#leader.fs.minimalCrash().files()];
    const kept = files.filter(([path]) => /\/(log|snapshot)_[0-9a-f]{16}$/.test(path));
    this.#follower = new Side(OPTIONS);
    this.#follower.fs = CrashFs.withFiles(Object.fromEntries(kept), { trace: false });
    await this.#follower.open();
    await this.#copy(Infinity);
  }
}

test.each([
  ['every log', 2 ** 30],
  ['one or two logs', 600_000],
  ['no log', 0],
])(
  'leader and follower crash at random and have equal contents in the end, with %s retained',
  { timeout: 300_000 },
  async (_what, retainBytes) => {
    let restarts = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const pair = new Pair(retainBytes);
        const { led, followed } = await pair.run(steps);
        expect(followed).toEqual(led);
        restarts += pair.restarts;
      }),
      { numRuns: runs(60) },
    );
    if (retainBytes === 0) expect(restarts).toBeGreaterThan(0);
    if (retainBytes === 2 ** 30) expect(restarts).toBe(0);
  },
);
