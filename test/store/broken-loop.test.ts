import { expect, test } from 'vitest';
import { MetadataStore, StoreError, type WriteBatch } from '../../src/index.ts';
import type { StoreEnvironment } from '../../src/store/open/environment.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import type { FileSystem } from '../../src/fs/index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';

/** A bug that can occur wherever the store calls out of the commit loop. */
class Bug extends Error {
  override readonly name = 'Bug';
}

/** Throws at call `number`, counting all trapped calls. */
class Trap {
  readonly #number: number;
  #calls = 0;
  #isArmed = false;

  constructor(number: number) {
    this.#number = number;
  }

  arm(): void {
    this.#isArmed = true;
  }

  get hasSprung(): boolean {
    return this.#calls >= this.#number;
  }

  step(): void {
    if (this.#isArmed && ++this.#calls === this.#number) throw new Bug(`call ${this.#number}`);
  }
}

/** Calls the trap, then the original. The trap throws where the original would reject. */
function trapped<T extends object>(target: T, methods: readonly (keyof T)[], trap: Trap): T {
  return new Proxy(target, {
    get(object, name): unknown {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value !== 'function') return value;
      const method = value.bind(object) as (...args: unknown[]) => unknown;
      if (!methods.some((one) => one === name)) return method;
      return (...args: unknown[]) => {
        trap.step();
        return method(...args);
      };
    },
  });
}

/** Places of the bugs. */
const PLACES: Record<string, (fs: FileSystem, trap: Trap) => StoreEnvironment> = {
  'asking whether the lease is fresh': (fs, trap) =>
    simulatedEnvironment(
      new Proxy(fs, {
        get(object, name): unknown {
          const value: unknown = Reflect.get(object, name, object);
          if (typeof value !== 'function') return value;
          const method = value.bind(object) as (...args: unknown[]) => unknown;
          if (name !== 'takeLease') return method;
          return async (...args: Parameters<FileSystem['takeLease']>) =>
            trapped(await object.takeLease(...args), ['isFresh'], trap);
        },
      }),
    ),
  'a call of the file system that throws': (fs, trap) =>
    simulatedEnvironment(
      trapped(
        fs,
        ['open', 'stat', 'rename', 'unlink', 'readDirectory', 'syncDirectory', 'freeBytes'],
        trap,
      ),
    ),
  'the pause between two slices': (fs, trap) => ({
    ...simulatedEnvironment(fs),
    pause: () => {
      trap.step();
      return Promise.resolve();
    },
  }),
  'starting a timer': (fs, trap) => ({
    ...simulatedEnvironment(fs),
    startTimer: () => {
      trap.step();
      return () => undefined;
    },
  }),
  'stopping a timer': (fs, trap) => ({
    ...simulatedEnvironment(fs),
    startTimer: () => () => trap.step(),
  }),
};

const PATIENCE = 500;

async function settlesSoon(promises: readonly Promise<unknown>[]): Promise<boolean> {
  const settled = Promise.allSettled(promises).then(() => true);
  for (let turn = 0; turn < PATIENCE; turn++) {
    const nextTurn = new Promise<false>((resolve) => setImmediate(resolve, false));
    if (await Promise.race([settled, nextTurn])) return true;
  }
  return false;
}

function updates(first: number, count: number): Parameters<WriteBatch['put']>[] {
  return Array.from({ length: count }, (_, i) => [first + i, 1, new Uint8Array(200)]);
}

/** Uses everything that waits for the loop. Returns the promises. */
function useAll(store: MetadataStore, written: Promise<unknown>[]): Promise<unknown>[] {
  const puts = (
    first: number,
    count: number,
    durability: 'sync' | 'deferred',
  ): Promise<unknown> => {
    const batch = updates(first, count).map(([key, value, data]) => {
      return { type: 'put' as const, key, value, data };
    });
    const promise = store.insertBatch(batch, { durability });
    written.push(promise);
    return promise;
  };
  const all: Promise<unknown>[] = [puts(0, 3, 'deferred'), puts(10, 2500, 'sync')];
  all.push(store.merge(), store.backup('/b'), puts(5000, 1, 'deferred'), store.sync());
  const feed = store.changes({ after: 0n });
  const follow = async (): Promise<void> => {
    for await (const change of feed) if (change.sequence === 1000n) return;
  };
  all.push(follow(), puts(6000, 1, 'sync'), store.merge());
  // They may reject before the test looks at them.
  for (const promise of all) promise.catch(() => undefined);
  return all;
}

test.each(Object.keys(PLACES))(
  'a bug poisons the store and leaves no promise pending: %s',
  async (place) => {
    let sprung = 0;
    for (let number = 1; ; number++) {
      const fs = new CrashFs({ trace: false });
      const trap = new Trap(number);
      const store = await openStoreIn(PLACES[place]!(fs, trap), '/s', {
        rotateBytes: 64 * 1024,
        queueBatches: 2,
      });
      trap.arm();
      const written: Promise<unknown>[] = [];
      const all = useAll(store, written);
      // A feed at its end waits for more: the close ends it.
      expect(await settlesSoon(written), `writes after call ${number}`).toBe(true);
      const { state, poison } = store.stats();
      const outcomes = await Promise.allSettled(written);
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue;
        expect((outcome.reason as StoreError).outcome).toMatch(/^(not-applied|unknown)$/);
      }
      if (state === 'poisoned') expect(poison).toBeInstanceOf(StoreError);
      const closed = store.close();
      expect(await settlesSoon([...all, closed]), `all after call ${number}`).toBe(true);
      await closed.catch(() => undefined);
      if (!trap.hasSprung) break;
      sprung++;
    }
    expect(sprung).toBeGreaterThan(0);
  },
);
