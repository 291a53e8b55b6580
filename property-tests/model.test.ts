import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { isDeepStrictEqual, inspect } from 'node:util';
import { expect, test } from 'vitest';
import {
  MetadataStore,
  WriteBatch,
  type Inserted,
  type OpenOptions,
  type StoreRecord,
  type StoreSnapshot,
} from '../src/index.ts';
import { InlineRunner } from '../src/threads/job-runner.ts';
import { CrashFs } from '../src/testing/index.ts';
import { runs } from '../test/support/effort.ts';
import { contentHashOf } from '../test/support/independent-content-hash.ts';
import { openStoreIn } from '../src/store/metadata-store.ts';

interface Row {
  readonly key: bigint;
  /** 0 deletes. */
  readonly value: bigint;
  readonly lengthBytes: number;
}

/** The expected contents: key to "value:data". */
type Model = Map<bigint, string>;

interface World {
  readonly open: () => Promise<MetadataStore>;
  /** Stops the machine and returns what remains; undefined if it cannot stop. */
  readonly stop: ((kind: 'kill' | 'crash') => void) | undefined;
  store: MetadataStore;
}

function same(found: unknown, expected: unknown): void {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Error(`found ${inspect(found)}, expected ${inspect(expected)}`);
}

function dataOf(row: Row): Uint8Array {
  return new Uint8Array(row.lengthBytes).fill(Number(row.value & 0xffn));
}

function textOf(value: bigint, data: Uint8Array): string {
  return `${value}:${Buffer.from(data).toString('latin1')}`;
}

function batchOf(rows: readonly Row[]): WriteBatch {
  const batch = new WriteBatch();
  for (const row of rows) {
    if (row.value === 0n) batch.delete(row.key);
    else batch.put(row.key, row.value, dataOf(row));
  }
  return batch;
}

function apply(model: Model, rows: readonly Row[]): void {
  for (const row of rows) {
    if (row.value === 0n) model.delete(row.key);
    else model.set(row.key, textOf(row.value, dataOf(row)));
  }
}

type Command = fc.AsyncCommand<Model, World>;

class Batch implements Command {
  readonly #rows: readonly Row[];

  constructor(rows: readonly Row[]) {
    this.#rows = rows;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, { store }: World): Promise<void> {
    const { sequence } = await this.#insert(store);
    same(sequence, store.stats().lastSequence);
    apply(model, this.#rows);
    for (const { key } of this.#rows) {
      const record = store.get(key);
      same(record && textOf(record.value, record.data), model.get(key));
      same(store.has(key), model.has(key));
    }
    sameMany(
      store,
      model,
      this.#rows.map((row) => row.key),
    );
    same(store.size, model.size);
  }

  #insert(store: MetadataStore): Promise<Inserted> {
    const [only] = this.#rows;
    if (only === undefined || this.#rows.length > 1) return store.insertBatch(batchOf(this.#rows));
    const { key, value } = only;
    return value === 0n ? store.delete(key) : store.put(key, value, dataOf(only));
  }

  toString(): string {
    return `batch(${this.#rows.map(({ key, value }) => `${key}=${value}`).join(' ')})`;
  }
}

/** Several batches in flight, possibly beside a merge. */
class Burst implements Command {
  readonly #batches: readonly (readonly Row[])[];
  readonly #merges: boolean;

  constructor(batches: readonly (readonly Row[])[], merges: boolean) {
    this.#batches = batches;
    this.#merges = merges;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, world: World): Promise<void> {
    const merge = this.#merges ? world.store.merge() : undefined;
    const before = [...world.store.entries()];
    const view = world.store.entries();
    const snapshot = world.store.snapshot();
    const inSlices = world.store.keys()[Symbol.asyncIterator]();
    const hash = world.store.contentHash();
    const expectedHash = contentHashOf(recordsOf(world.store));
    await Promise.all(this.#batches.map((rows) => world.store.insertBatch(batchOf(rows))));
    for (const rows of this.#batches) apply(model, rows);
    same([...view], before);
    same((await hash).hash, expectedHash);
    const keys = [];
    for (let one = await inSlices.next(); one.done !== true; one = await inSlices.next()) {
      keys.push(one.value);
    }
    same(
      keys,
      before.map(([key]) => key),
    );
    await merge;
    await sameSnapshot(snapshot, before, expectedHash);
    same(world.store.size, model.size);
  }

  toString(): string {
    return `burst(${this.#batches.length}${this.#merges ? ', merge' : ''})`;
  }
}

/** A range delete between two updates of the same batch. */
class DeleteRange implements Command {
  readonly #from: bigint;
  readonly #to: bigint;
  readonly #rows: readonly Row[];

  constructor(from: bigint, to: bigint, rows: readonly Row[]) {
    this.#from = from;
    this.#to = to;
    this.#rows = rows;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, { store }: World): Promise<void> {
    const view = store.entries();
    const before = contents(store);
    const batch = batchOf(this.#rows);
    batch.deleteRange({ gte: this.#from, lt: this.#to });
    const [first] = this.#rows;
    if (first !== undefined) batch.put(first.key, 99n);
    await store.insertBatch(batch);
    apply(model, this.#rows);
    for (const key of model.keys()) if (key >= this.#from && key < this.#to) model.delete(key);
    if (first !== undefined) model.set(first.key, textOf(99n, new Uint8Array()));
    same(contents(store), contentsOf(model));
    same(store.size, model.size);
    same(
      [...view].map(([key, { value, data }]) => [key, textOf(value, data)]),
      before,
    );
    same((await store.contentHash()).hash, contentHashOf(recordsOf(store)));
  }

  toString(): string {
    return `deleteRange(${this.#from}, ${this.#to}, ${this.#rows.length} rows before)`;
  }
}

/** Writes more than a log holds, which rotates it. */
class Fill implements Command {
  readonly #key: bigint;

  constructor(key: bigint) {
    this.#key = key;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, world: World): Promise<void> {
    for (let i = 0n; i < 3n; i++) {
      const data = new Uint8Array(30_000);
      for (let at = 0; at < data.length; at++) data[at] = (at * at * 31 + at * 7) >>> (at % 5);
      const key = this.#key + i;
      await world.store.insertBatch([{ type: 'put', key, value: key + 1n, data }]);
      model.set(key, textOf(key + 1n, data));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  toString(): string {
    return `fill(${this.#key})`;
  }
}

class Merge implements Command {
  check(): boolean {
    return true;
  }

  async run(_model: Model, world: World): Promise<void> {
    await world.store.merge();
    same(world.store.stats().logs.bytes, 0);
    const { hash, records } = await world.store.contentHash();
    same([hash, records], [contentHashOf(recordsOf(world.store)), world.store.size]);
  }

  toString(): string {
    return 'merge';
  }
}

class Reopen implements Command {
  readonly #how: 'close' | 'kill' | 'crash';

  constructor(how: 'close' | 'kill' | 'crash') {
    this.#how = how;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, world: World): Promise<void> {
    if (this.#how === 'close' || world.stop === undefined) await world.store.close();
    else world.stop(this.#how);
    world.store = await world.open();
    same(contents(world.store), contentsOf(model));
    same(world.store.recovery.tornTail, undefined);
  }

  toString(): string {
    return this.#how;
  }
}

/** Reads a range in both directions. */
class Range implements Command {
  readonly #from: bigint;
  readonly #to: bigint;

  constructor(from: bigint, to: bigint) {
    this.#from = from;
    this.#to = to;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, { store }: World): Promise<void> {
    const [gte, lt] = [this.#from, this.#to];
    const keys = contentsOf(model)
      .map(([key]) => key)
      .filter((key) => key >= gte && key < lt);
    same([...store.keys({ gte, lt })], keys);
    same([...store.keys({ gte, lt, reverse: true, limit: 5 })], keys.toReversed().slice(0, 5));
    same([store.firstKey({ gte, lt }), store.lastKey({ gte, lt })], [keys.at(0), keys.at(-1)]);
    same(await store.count({ gte, lt }), keys.length);
  }

  toString(): string {
    return `range(${this.#from}, ${this.#to})`;
  }
}

/** Reads and counts the keys under the prefix of a key. */
class Keyspace implements Command {
  readonly #prefix: bigint;
  readonly #bits: number;

  constructor(key: bigint, bits: number) {
    this.#prefix = key >> BigInt(64 - bits);
    this.#bits = bits;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, { store }: World): Promise<void> {
    const space = store.keyspace({ prefix: this.#prefix, bits: this.#bits });
    const [first, end] = [space.toKey(0), (this.#prefix + 1n) << BigInt(64 - this.#bits)];
    const under = contentsOf(model).filter(([key]) => key >= first && key < end);
    same(
      [...space].map(([key, { value, data }]) => [space.toKey(key), textOf(value, data)]),
      under,
    );
    same(await space.count(), under.length);
    const records = recordsOf(store).filter(({ key }) => space.fromKey(key) !== undefined);
    same((await space.contentHash()).hash, contentHashOf(records));
    const values = [];
    for await (const [key] of space.entriesByValue()) values.push(space.toKey(key));
    same(
      values.sort((a, b) => (a < b ? -1 : 1)),
      under.map(([key]) => key),
    );
    const [, short = 0n] = [...space.keys()];
    same(space.valueOf(short), store.valueOf(space.toKey(short)));
  }

  toString(): string {
    return `keyspace(${this.#prefix}, ${this.#bits})`;
  }
}

async function sameSnapshot(
  snapshot: StoreSnapshot,
  expected: readonly [bigint, StoreRecord][],
  expectedHash: string,
): Promise<void> {
  const records = new Map(expected);
  same([...snapshot], expected);
  same(snapshot.size, expected.length);
  for (let key = 0n; key < 62n; key++) {
    same(snapshot.get(key), records.get(key));
    same(snapshot.valueOf(key), records.get(key)?.value);
  }
  same((await snapshot.contentHash()).hash, expectedHash);
  same(await snapshot.count({ gt: 5, lt: 55 }), [...snapshot.keys({ gt: 5, lt: 55 })].length);
  snapshot.release();
}

/** What reads without copies return for these keys. */
function sameMany(store: MetadataStore, model: Model, keys: readonly bigint[]): void {
  const asked = BigUint64Array.from(keys);
  const values = keys.map((key) => store.get(key)?.value ?? 0n);
  same([...store.getMany(asked)], values);
  same(
    [...store.hasMany(asked)],
    keys.map((key) => (model.has(key) ? 1 : 0)),
  );
  const target = new Uint8Array(64 * 1024);
  const { data } = store.getMany(asked, { data: true });
  keys.forEach((key, i) => {
    const lengthBytes = store.getInto(key, target, 3);
    const copied = lengthBytes === undefined ? undefined : target.slice(3, 3 + lengthBytes);
    same(copied && textOf(values[i]!, copied), model.get(key));
    const many = data[i];
    same(many && textOf(values[i]!, many), model.get(key));
  });
}

function recordsOf(store: MetadataStore): { key: bigint; value: bigint; data: Uint8Array }[] {
  return [...store.entries()].map(([key, record]) => ({ key, ...record }));
}

function contents(store: MetadataStore): [bigint, string][] {
  return [...store.entries()].map(([key, { value, data }]) => [key, textOf(value, data)]);
}

function contentsOf(model: Model): [bigint, string][] {
  return [...model].sort(([a], [b]) => (a < b ? -1 : 1));
}

const key = fc.oneof(
  { weight: 8, arbitrary: fc.bigInt(0n, 60n) },
  { weight: 1, arbitrary: fc.bigInt(0n, 2n ** 64n - 1n) },
);
const row: fc.Arbitrary<Row> = fc.record({
  key,
  value: fc.oneof(
    { weight: 3, arbitrary: fc.bigInt(1n, 1000n) },
    { weight: 1, arbitrary: fc.constant(0n) },
    { weight: 1, arbitrary: fc.bigInt(1n, 2n ** 64n - 1n) },
  ),
  lengthBytes: fc.nat(40),
});
const rows = fc.array(row, { maxLength: 12 });

const COMMANDS: fc.Arbitrary<Command>[] = [
  rows.map((batch) => new Batch(batch)),
  fc
    .tuple(fc.array(rows, { minLength: 2, maxLength: 8 }), fc.boolean())
    .map(([batches, merges]) => new Burst(batches, merges)),
  fc.tuple(key, key, rows).map(([from, to, before]) => new DeleteRange(from, to, before)),
  fc.bigInt(70n, 90n).map((start) => new Fill(start)),
  fc.constant(new Merge()),
  fc
    .constantFrom('close' as const, 'kill' as const, 'crash' as const)
    .map((how) => new Reopen(how)),
  fc.tuple(key, key).map(([from, to]) => new Range(from, to)),
  fc.tuple(key, fc.integer({ min: 1, max: 63 })).map(([from, bits]) => new Keyspace(from, bits)),
];

async function runCommands(world: World, commands: Iterable<Command>): Promise<void> {
  const model: Model = new Map();
  try {
    await fc.asyncModelRun(() => ({ model, real: world }), commands);
    await new Reopen('close').run(model, world);
  } finally {
    await world.store.close();
  }
}

const OPTIONS: OpenOptions = { rotateBytes: 64 * 1024, mergeBytes: 96 * 1024 };

async function crashWorld(): Promise<World> {
  let fs = new CrashFs({ trace: false });
  const open = (): Promise<MetadataStore> => {
    const fileSystem = fs;
    return openStoreIn(
      {
        fileSystem,
        makeRunner: (held) => new InlineRunner(held),
        pause: () => Promise.resolve(),
        sliceMs: 0,
        identity: () =>
          Promise.resolve({
            pid: 1,
            processStartTicks: 1,
            bootId: 'simulated',
            machineId: 'simulated',
            hostName: 'simulated',
          }),
        randomBytes: (lengthBytes) => new Uint8Array(lengthBytes).fill(0x5a),
        ownerStamp: { nonce: 'simulated', openedAtMs: 0 },
        sizes: { rotateBytes: 4096, reserveBytes: 4096 },
      },
      '/s',
      { mergeBytes: 8192 },
    );
  };
  const stop = (kind: 'kill' | 'crash'): void => {
    const before = fs;
    fs = kind === 'kill' ? before.kill() : before.minimalCrash();
    before.powerOff();
  };
  return { open, stop, store: await open() };
}

test('any commands on a simulated disk leave the contents of the model', async () => {
  const result = await fc.check(
    fc.asyncProperty(fc.commands(COMMANDS, { maxCommands: 40 }), async (commands) => {
      await runCommands(await crashWorld(), commands);
    }),
    { numRuns: runs(300) },
  );
  expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
});

test('any commands on a real directory, with threads, leave the contents of the model', async () => {
  const result = await fc.check(
    fc.asyncProperty(fc.commands(COMMANDS, { maxCommands: 15 }), async (commands) => {
      const directory = await mkdtemp(join(tmpdir(), 'lodestore-model-'));
      try {
        const open = (): Promise<MetadataStore> => MetadataStore.open(directory, OPTIONS);
        await runCommands({ open, stop: undefined, store: await open() }, commands);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    }),
    { numRuns: runs(8) },
  );
  expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
});
