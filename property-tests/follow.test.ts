import { ok, strictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FileLock, FileSystem, OpenFile } from '../src/fs/index.ts';
import type { MetadataStore, OpenOptions, Update } from '../src/index.ts';
import { openStoreIn } from '../src/store/metadata-store.ts';
import { CrashFs, SeededScheduler } from '../src/testing/index.ts';
import { simulatedEnvironment } from '../src/testing/open-on.ts';
import { runs } from '../test/support/effort.ts';

const batch = fc.array(
  fc.record({
    key: fc.integer({ min: 1, max: 12 }),
    value: fc.integer({ min: 0, max: 9 }),
    dataBytes: fc.constantFrom(0, 10, 300),
  }),
  { minLength: 1, maxLength: 4 },
);
const step = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), batch, isDeferred: fc.boolean() }),
  fc.record({ kind: fc.constant('write' as const), batch, isDeferred: fc.constant(false) }),
  fc.record({ kind: fc.constantFrom('look' as const, 'settle', 'sync', 'merge', 'restart') }),
  fc.record({ kind: fc.constantFrom('kill' as const, 'follow') }),
  // All but the last bytes of a write are written, and then truncated.
  fc.record({ kind: fc.constant('full' as const), lackingBytes: fc.constantFrom(1, 40, 400) }),
  fc.record({ kind: fc.constant('crash' as const), seed: fc.nat() }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/**
 * The calls of one process that can be killed. After the kill, it makes no calls and its locks are
 * free.
 */
class Process {
  readonly fs: FileSystem;
  readonly #locks: FileLock[] = [];
  #isAlive = true;

  constructor(machine: CrashFs) {
    this.fs = this.#living(machine, {
      open: async (...args) => this.#living(await machine.open(...args)),
      tryLock: async (path) => {
        const lock = await machine.tryLock(path);
        if (lock === undefined) return undefined;
        this.#locks.push(lock);
        return this.#living(lock);
      },
    });
  }

  async kill(): Promise<void> {
    this.#isAlive = false;
    await Promise.all(this.#locks.map((lock) => lock.release()));
  }

  #living<T extends FileSystem | OpenFile | FileLock>(target: T, own: Partial<T> = {}): T {
    return new Proxy(target, {
      get: (_target, name) => {
        const member: unknown = Reflect.get(own, name) ?? Reflect.get(target, name, target);
        if (typeof member !== 'function') return name === 'blocking' ? undefined : member;
        return (...args: unknown[]): unknown =>
          this.#isAlive ? Reflect.apply(member, target, args) : new Promise(() => undefined);
      },
    });
  }
}

/** An update; value 0 deletes. */
interface Written {
  readonly key: number;
  readonly value: number;
  readonly data: Uint8Array;
}

/** What a follower showed at one moment. */
interface Sight {
  readonly sequence: bigint;
  readonly records: string;
}

const textOf = (store: Iterable<[bigint, { value: bigint; data: Uint8Array }]>): string =>
  [...store].map(([key, { value, data }]) => `${key}=${value}:${data.length}`).join(' ');

class World {
  fs: CrashFs;
  #process!: Process;
  #writer!: MetadataStore;
  #follower!: MetadataStore;
  /** Acknowledged batches by sequence number. */
  readonly #acknowledged = new Map<bigint, readonly Written[]>();
  readonly #sights: Sight[] = [];
  #writing: Promise<unknown> = Promise.resolve();

  constructor(seed: number) {
    this.fs = new CrashFs({ trace: false, scheduler: new SeededScheduler(seed) });
  }

  async begin(): Promise<void> {
    await this.#openWriter();
    await this.#openFollower();
  }

  async take(one: Step, seed: number): Promise<void> {
    switch (one.kind) {
      case 'write':
        this.#write(one.batch, one.isDeferred);
        return;
      case 'full':
        this.fs.faults.add({
          call: 'write',
          path: /\/log_/,
          error: 'ENOSPC',
          mode: 'short',
          appliedBytes: 4096 - one.lackingBytes,
        });
        return;
      case 'look':
        await this.#follower.refresh();
        return this.#see();
      case 'follow':
        await this.#follower.close();
        return this.#openFollower();
      case 'settle':
        return this.#writing.then(() => undefined);
      case 'sync':
        await this.#writer.sync().catch(() => undefined);
        return;
      case 'merge':
        await this.#writer.merge().catch(() => undefined);
        return;
      case 'restart':
        await this.#writing;
        await this.#writer.close().catch(() => undefined);
        this.fs.faults.clear();
        return this.#openWriter();
      case 'kill':
        await this.#process.kill();
        this.fs.faults.clear();
        return this.#openWriter();
      case 'crash':
        return this.#crash(one.seed, seed);
    }
  }

  async end(): Promise<void> {
    await this.#writing;
    this.fs.faults.clear();
    await this.#writer.close().catch(() => undefined);
    await this.#openWriter();
    await this.#follower.refresh();
    this.#see();
    strictEqual(textOf(this.#follower), textOf(this.#writer));
    this.#judge();
    await this.#follower.close();
    await this.#writer.close();
  }

  /** The follower shows exactly the batches up to its number, and never goes back. */
  #judge(): void {
    const records = new Map<bigint, { value: bigint; data: Uint8Array }>();
    let sequence = 0n;
    let shown = 0n;
    for (const sight of this.#sights) {
      ok(sight.sequence >= shown, 'what is shown only grows');
      shown = sight.sequence;
      while (sequence < shown) {
        const updates = this.#acknowledged.get(++sequence);
        // A batch that was in flight at a kill has no acknowledgement.
        if (updates === undefined) return;
        for (const { key, value, data } of updates) {
          if (value === 0) records.delete(BigInt(key));
          else records.set(BigInt(key), { value: BigInt(value), data });
        }
      }
      const sorted = [...records].toSorted(([a], [b]) => (a < b ? -1 : 1));
      strictEqual(sight.records, textOf(sorted));
    }
  }

  #write(of: Extract<Step, { kind: 'write' }>['batch'], isDeferred: boolean): void {
    const updates = of.map(({ key, value, dataBytes }) =>
      value === 0
        ? { type: 'delete' as const, key, value, data: new Uint8Array(0) }
        : { type: 'put' as const, key, value, data: new Uint8Array(dataBytes) },
    );
    const given = updates.map(({ type, key, value, data }): Update =>
      type === 'put' ? { type, key, value, data } : { type, key },
    );
    const durability = isDeferred ? 'deferred' : 'sync';
    const insert = this.#writer.insertBatch(given, { durability }).then(
      ({ sequence }) => void this.#acknowledged.set(sequence, updates),
      () => undefined,
    );
    this.#writing = Promise.race([
      Promise.all([this.#writing, insert]),
      // A killed process sends no notification.
      new Promise((resolve) => setImmediate(() => setImmediate(resolve))),
    ]);
  }

  #see(): void {
    const { lastSequence } = this.#follower.stats();
    this.#sights.push({ sequence: lastSequence, records: textOf(this.#follower) });
  }

  async #crash(crashSeed: number, seed: number): Promise<void> {
    await this.#follower.refresh();
    this.#see();
    const scheduler = new SeededScheduler(seed);
    const after = this.fs.randomCrash(crashSeed, { trace: false, scheduler });
    this.fs.powerOff();
    await this.#writer.close().catch(() => undefined);
    await this.#follower.close();
    this.fs = after;
    await this.#openWriter();
    // Lost batches were never shown: their numbers are reused.
    const { lastSequence } = this.#writer.stats();
    ok(this.#sights.at(-1)!.sequence <= lastSequence, 'what was shown is not lost');
    for (const sequence of this.#acknowledged.keys()) {
      if (sequence > lastSequence) this.#acknowledged.delete(sequence);
    }
    await this.#openFollower();
  }

  async #openWriter(): Promise<void> {
    this.#process = new Process(this.fs);
    this.#writer = await this.#open(this.#process.fs, { mergeBytes: 2_000 });
  }

  async #openFollower(): Promise<void> {
    this.#follower = await this.#open(this.fs, { readOnly: true, follow: { everyMs: 3_600_000 } });
    this.#see();
  }

  #open(fs: FileSystem, options: OpenOptions): Promise<MetadataStore> {
    const environment = {
      ...simulatedEnvironment(fs),
      noteEveryMs: 0,
      // Notes and syncs are due at once, all other timers never.
      startTimer: (delayMs: number, ring: () => void) => {
        if (delayMs > 100) return () => undefined;
        const timer = setImmediate(ring);
        return () => clearImmediate(timer);
      },
      sizes: { rotateBytes: 900, reserveBytes: 512 },
    };
    return openStoreIn(environment, '/meta', options);
  }
}

test('a follower always shows a prefix of the acknowledged, durable batches', async () => {
  const checked = fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
      fc.nat(),
      async (steps, seed) => {
        const world = new World(seed);
        await world.begin();
        for (const [at, one] of steps.entries()) await world.take(one, seed + at);
        await world.end();
      },
    ),
    { numRuns: runs(100) },
  );
  await expect(checked).resolves.toBeUndefined();
});
