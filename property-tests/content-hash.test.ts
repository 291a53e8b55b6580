import { strictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WriteBatch, type MetadataStore } from '../src/index.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';
import { contentHashOf } from '../test/support/independent-content-hash.ts';

interface Put {
  readonly key: bigint;
  /** 0 deletes. */
  readonly value: bigint;
  readonly data: Uint8Array;
}

type Records = Map<bigint, Put>;

/** What happens between two batches. */
type Pause = 'nothing' | 'ask' | 'merge' | 'close' | 'kill';

interface Step {
  readonly puts: readonly Put[];
  readonly after: Pause;
}

class History {
  readonly records: Records = new Map();
  #fs: CrashFs = new CrashFs({ trace: false });
  #store: MetadataStore | undefined;

  async run(steps: readonly Step[]): Promise<string> {
    let store = (this.#store ??= await this.#open());
    for (const { puts, after } of steps) {
      await store.insertBatch(this.#batch(puts));
      if (after === 'ask') await this.#check(store);
      if (after === 'merge') await store.merge();
      if (after === 'close') await store.close();
      if (after === 'kill') this.#kill();
      if (after === 'close' || after === 'kill') store = this.#store = await this.#open();
    }
    const hash = await this.#check(store);
    await store.close();
    this.#store = undefined;
    return hash;
  }

  #open(): Promise<MetadataStore> {
    return openOn(this.#fs, '/s', { mergeBytes: 4096 });
  }

  #kill(): void {
    const before = this.#fs;
    this.#fs = before.kill();
    before.powerOff();
  }

  #batch(puts: readonly Put[]): WriteBatch {
    const batch = new WriteBatch();
    for (const put of puts) {
      if (put.value === 0n) {
        batch.delete(put.key);
        this.records.delete(put.key);
      } else {
        batch.put(put.key, put.value, put.data);
        this.records.set(put.key, put);
      }
    }
    return batch;
  }

  async #check(store: MetadataStore): Promise<string> {
    const { hash, records, lastSequence } = await store.contentHash();
    strictEqual(hash, contentHashOf(this.records.values()));
    strictEqual(records, this.records.size);
    strictEqual(lastSequence, store.stats().lastSequence);
    return hash;
  }
}

const put: fc.Arbitrary<Put> = fc.record({
  key: fc.oneof(fc.bigInt(0n, 30n), fc.bigInt(0n, 2n ** 64n - 1n)),
  value: fc.oneof(fc.bigInt(0n, 3n), fc.bigInt(1n, 2n ** 64n - 1n)),
  data: fc.uint8Array({ maxLength: 20 }),
});
const steps = fc.array(
  fc.record({
    puts: fc.array(put, { maxLength: 15 }),
    after: fc.constantFrom<Pause[]>('nothing', 'ask', 'merge', 'close', 'kill'),
  }),
  { maxLength: 12 },
);

test('two histories have equal hashes if and only if they have equal records', async () => {
  await fc.assert(
    fc.asyncProperty(steps, steps, put, async (one, other, more) => {
      const first = new History();
      const hash = await first.run(one);
      // The same records, with a different history.
      const second = new History();
      await second.run(other);
      const gone = [...second.records.values()].map(({ key }) => ({ ...more, key, value: 0n }));
      const again = [...first.records.values()].toReversed();
      const half = again.splice(0, again.length >> 1);
      const same = await second.run([
        { puts: [...gone, ...half], after: 'merge' },
        { puts: again, after: 'nothing' },
      ]);
      expect(same).toBe(hash);
      const known = first.records.get(more.key);
      const changed = { ...more, value: more.value === 0n ? 1n : more.value };
      const isSame =
        known?.value === changed.value && Buffer.compare(known.data, changed.data) === 0;
      if (!isSame) expect(await second.run([{ puts: [changed], after: 'nothing' }])).not.toBe(hash);
    }),
    { numRuns: runs(150) },
  );
});
