import type { Elector, ReplicatedOptions, ReplicatedStore } from '../../src/replicated/index.ts';
import { clockOf } from '../../src/replicated/node/replica-clock.ts';
import { ConditionFailedError, StoreError, type Update } from '../../src/index.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  SimulatedLog,
  type RunOptions,
  type SimulatedConnection,
} from '../../src/testing/index.ts';
import { Random } from '../../src/testing/engine/random.ts';
import { BrokenPromise, History, MARKER_BASE, type ClientWrite } from './history.ts';
import { LogFold } from './log-fold.ts';
import { rest, SimulatedTime } from './simulated-time.ts';
import { slowLogWrites } from './slow-disk.ts';

const KEYS = 6;
const NODES = 3;
const DIRECTORY = '/replica';

/** Figures of a run, for the summary. */
export interface RunFigures {
  readonly acknowledged: number;
  readonly notApplied: number;
  readonly unknown: number;
  readonly conditions: number;
  readonly barriers: number;
  readonly takeovers: number;
  readonly crashes: number;
  readonly emptied: number;
  readonly checkpoints: number;
  readonly trims: number;
  readonly entries: number;
  readonly comparisons: number;
}

/** One machine and its node, if it runs. */
class Machine {
  readonly index: number;
  fs: CrashFs;
  store: ReplicatedStore | undefined;
  connection: SimulatedConnection | undefined;
  /** The last seen position of the running node: it never decreases. */
  position = 0n;
  failure: Error | undefined;
  isOpening = false;

  constructor(index: number, fs: CrashFs) {
    this.index = index;
    this.fs = fs;
  }
}

/** A cluster in one seeded run. */
export class World {
  readonly history: History = new History();
  readonly fold: LogFold = new LogFold();
  readonly #random: Random;
  readonly #time: SimulatedTime = new SimulatedTime();
  readonly #log: SimulatedLog;
  readonly #checkpoints: MemoryCheckpoints = new MemoryCheckpoints();
  readonly #disk: RunOptions;
  readonly #machines: Machine[];
  readonly #seed: number;
  #opens = 0;
  #nextId = 1n;
  #broken: Error | undefined;
  /** Every third cluster has electors, which flap. */
  readonly #hasElectors: boolean;
  #electionsAreOver = false;
  readonly figures = {
    acknowledged: 0,
    notApplied: 0,
    unknown: 0,
    conditions: 0,
    barriers: 0,
    takeovers: 0,
    crashes: 0,
    emptied: 0,
    checkpoints: 0,
    trims: 0,
    entries: 0,
    comparisons: 0,
  };

  constructor(seed: number) {
    this.#seed = seed;
    this.#hasElectors = seed % 3 === 2;
    this.#random = new Random(seed);
    const level = this.#random.below(3);
    const chance = (): number => (level * this.#random.below(100)) / 500;
    this.#log = new SimulatedLog({
      seed: seed + 1,
      maxEntryBytes: this.#random.below(3) === 0 ? 4_096 : 64 * 1024,
      faults: {
        lostAcknowledgement: chance(),
        refusedAppend: chance(),
        delayedAppend: chance(),
        staleBounds: chance(),
        brokenRead: chance(),
        laggingRead: chance(),
      },
      onAppend: (entry) => this.fold.append(entry),
      delay: () => rest(1 + this.#random.below(2)),
    });
    this.#disk = { trace: false, scheduler: slowLogWrites(new Random(seed + 2)) };
    this.#machines = Array.from({ length: NODES }, (_, index) => this.#newMachine(index));
  }

  #newMachine(index: number): Machine {
    return new Machine(index, new CrashFs(this.#disk));
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.below(from.length)]!;
  }

  get #end(): bigint {
    return this.fold.last;
  }

  /** Runs one history and checks it. Throws BrokenPromise. */
  async run(steps: number): Promise<void> {
    for (const machine of this.#machines) this.#open(machine);
    await this.#time.pass(100);
    this.#promote();
    for (let step = 0; step < steps; step++) {
      await this.#step();
      await this.#time.pass(this.#random.below(60));
      this.#look();
      if (this.#broken !== undefined) throw this.#broken;
    }
    await this.#settle();
    this.history.check(this.fold);
  }

  async #step(): Promise<void> {
    const choice = this.#random.below(100);
    if (choice < 39) this.#writeSome();
    else if (choice < 42) this.#deleteRange();
    else if (choice < 52) this.#readLinearizably();
    else if (choice < 61) this.#promote();
    else if (choice < 70) this.#cutOrHeal();
    else if (choice < 77) await this.#crash();
    else if (choice < 79) await this.#empty();
    else if (choice < 93) this.#checkpoint();
    else if (choice < 96) this.#merge();
    else for (const machine of this.#machines) this.#open(machine);
  }

  #open(machine: Machine): void {
    if (machine.store !== undefined || machine.isOpening || machine.failure !== undefined) return;
    machine.isOpening = true;
    const connection = this.#log.connect();
    machine.connection = connection;
    const options: ReplicatedOptions = {
      log: connection,
      checkpoints: this.#checkpoints.connect(),
      address: `node-${machine.index}`,
      commitTimeoutMs: 400,
      lostAfterMs: 3_000,
      pollMs: 50,
      syncEveryMs: 30,
      rotateBytes: 64 * 1024,
      mergeBytes: 1,
    };
    const seed = this.#seed * 1_000 + ++this.#opens;
    const { timer } = this.#time;
    const { fs } = machine;
    const elector = this.#hasElectors ? this.#elector() : undefined;
    void openReplicaOn(fs, DIRECTORY, { ...options, elector }, { seed, timer }).then(
      (store) => {
        machine.isOpening = false;
        if (machine.fs !== fs) {
          void store.close().catch(() => undefined);
          return;
        }
        machine.store = store;
        machine.position = store.position;
        store.on('roleChanged', (role) => {
          if (role === 'primary') this.figures.takeovers++;
        });
      },
      (error: unknown) => {
        machine.isOpening = false;
        if (machine.fs === fs) machine.failure = error as Error;
      },
    );
  }

  /** Elects each candidate after a delay, sometimes two at once, and revokes it soon. */
  #elector(): Elector {
    const clock = clockOf(this.#time.timer);
    return {
      campaign: async (_id, { signal }) => {
        const waitMs = this.#electionsAreOver ? 1e9 : 50 + this.#random.below(900);
        await clock.sleep(waitMs, signal);
        const lost = clock.sleep(20 + this.#random.below(1_500), signal);
        return { lost: lost.catch(() => undefined) };
      },
    };
  }

  /** A random node, whether it is the primary or not. */
  get #anyStore(): ReplicatedStore | undefined {
    const stores = this.#machines.flatMap(({ store }) => (store === undefined ? [] : [store]));
    const primaries = stores.filter(({ role }) => role === 'primary');
    if (primaries.length > 0 && this.#random.below(10) > 0) return this.#pick(primaries);
    return stores.length === 0 ? undefined : this.#pick(stores);
  }

  /** Sometimes a barrier follows while the group is still being written to the directory. */
  #writeSome(): void {
    for (let i = 0; i <= this.#random.below(4); i++) this.#write();
    if (this.#random.below(4) > 0) return;
    void rest(1 + this.#random.below(8)).then(() => this.#readLinearizably());
  }

  #write(): void {
    const store = this.#anyStore;
    if (store === undefined) return;
    const id = this.#nextId++;
    const keys = Array.from({ length: 1 + this.#random.below(3) }, () => this.#random.below(KEYS));
    const writes = [...new Set(keys)].map((key): [bigint, bigint] => [
      BigInt(key),
      this.#random.below(5) === 0 ? 0n : id,
    ]);
    const expected = this.#expectation(store, writes[0]![0]);
    const isDeleted = writes[0]![1] === 0n;
    const condition =
      expected === undefined ? {} : expected === 0n ? { ifAbsent: true } : { ifValue: expected };
    if (expected === 0n && isDeleted) writes[0] = [writes[0]![0], id];
    const filler = this.#random.below(8) === 0 ? this.#bytes(9_000) : undefined;
    const batch = [
      ...writes.map(([key, value], i) =>
        value === 0n
          ? { type: 'delete' as const, key, ...(i === 0 ? condition : {}) }
          : { type: 'put' as const, key, value, ...(i === 0 ? condition : {}) },
      ),
      { type: 'put' as const, key: MARKER_BASE + id, value: id, ...(filler && { data: filler }) },
    ];
    this.#insert(store, id, batch, writes, expected);
  }

  #deleteRange(): void {
    const store = this.#anyStore;
    if (store === undefined) return;
    const id = this.#nextId++;
    const lowest = this.#random.below(KEYS);
    const count = 1 + this.#random.below(KEYS - lowest);
    const writes = Array.from({ length: count }, (_, i): [bigint, bigint] => [
      BigInt(lowest + i),
      0n,
    ]);
    const batch = [
      { type: 'deleteRange' as const, gte: lowest, lt: lowest + count },
      { type: 'put' as const, key: MARKER_BASE + id, value: id },
    ];
    this.#insert(store, id, batch, writes, undefined);
  }

  #insert(
    store: ReplicatedStore,
    id: bigint,
    batch: readonly Update[],
    writes: readonly (readonly [bigint, bigint])[],
    expected: bigint | undefined,
  ): void {
    const write: ClientWrite = {
      id,
      writes: [...writes, [MARKER_BASE + id, id]],
      expected,
      calledAt: this.#end,
      returnedAt: undefined,
      calledTick: this.history.tick(),
      returnedTick: Infinity,
      result: 'open',
      sequence: undefined,
    };
    this.history.writes.push(write);
    store.insertBatch(batch).then(
      ({ sequence }) => {
        write.sequence = sequence;
        this.#settleWrite(write, 'applied');
      },
      (error: unknown) => this.#settleWrite(write, this.#resultOf(error)),
    );
  }

  #bytes(lengthBytes: number): Uint8Array {
    return Uint8Array.from({ length: lengthBytes }, () => this.#random.below(256));
  }

  /** Mostly the value that the node shows, so that about half of the conditions hold. */
  #expectation(store: ReplicatedStore, key: bigint): bigint | undefined {
    const choice = this.#random.below(10);
    if (choice < 6) return undefined;
    return choice < 9 ? (store.valueOf(key) ?? 0n) : BigInt(this.#random.below(20));
  }

  #resultOf(error: unknown): ClientWrite['result'] {
    if (error instanceof ConditionFailedError) return 'condition';
    if (error instanceof StoreError && error.outcome !== undefined) return error.outcome;
    this.#broken ??= new BrokenPromise(`a write rejects with ${String(error)}`, { cause: error });
    return 'unknown';
  }

  #settleWrite(write: ClientWrite, result: ClientWrite['result']): void {
    write.result = result;
    write.returnedAt = this.#end;
    write.returnedTick = this.history.tick();
    if (result === 'applied') this.figures.acknowledged++;
    else if (result === 'not-applied') this.figures.notApplied++;
    else if (result === 'unknown') this.figures.unknown++;
    else this.figures.conditions++;
  }

  #readLinearizably(): void {
    const store = this.#anyStore;
    if (store === undefined) return;
    const key = BigInt(this.#random.below(KEYS));
    const called = { calledAt: this.#end, calledTick: this.history.tick() };
    store.barrier().then(
      () => {
        this.figures.barriers++;
        const value = store.valueOf(key) ?? 0n;
        const returned = { returnedAt: this.#end, returnedTick: this.history.tick() };
        this.history.reads.push({ key, value, ...called, ...returned });
      },
      () => undefined,
    );
  }

  #promote(): void {
    const store = this.#anyStore;
    const chosen = this.#pick(this.#machines).store ?? store;
    if (chosen === undefined || chosen.role !== 'replica') return;
    const { index } = this.#machines.find((machine) => machine.store === chosen)!;
    const calledAt = this.#end;
    chosen.promote().then(
      () => {
        const address = `node-${index}`;
        this.history.promotions.push({ address, calledAt, returnedAt: this.#end });
      },
      () => undefined,
    );
  }

  #cutOrHeal(): void {
    const { connection } = this.#pick(this.#machines);
    if (connection?.isCut === true) connection.heal();
    else connection?.cut();
  }

  async #crash(): Promise<void> {
    const machine = this.#pick(this.#machines);
    if (machine.isOpening && this.#random.below(3) > 0) return;
    this.figures.crashes++;
    const isKill = this.#random.below(3) === 0;
    const old = machine.fs;
    const seed = this.#random.below(1 << 30);
    this.#down(machine, isKill ? old.kill(this.#disk) : old.randomCrash(seed, this.#disk));
  }

  async #empty(): Promise<void> {
    this.figures.emptied++;
    this.#down(this.#pick(this.#machines), new CrashFs(this.#disk));
  }

  #down(machine: Machine, fs: CrashFs): void {
    const { store, connection } = machine;
    machine.fs.powerOff();
    machine.fs = fs;
    machine.store = undefined;
    machine.isOpening = false;
    machine.failure = undefined;
    void connection?.close();
    // Work that still runs in the old process reaches neither the engine nor the disk.
    void store?.close().catch(() => undefined);
    if (this.#random.below(2) === 0) this.#open(machine);
  }

  #checkpoint(): void {
    const { store } = this.#pick(this.#machines);
    store?.checkpoint().then(
      () => {
        this.figures.checkpoints++;
        this.#trim();
      },
      () => undefined,
    );
  }

  #trim(): void {
    const primary = this.#machines.find((one) => one.store?.role === 'primary')?.store;
    primary?.trim().then(
      (upTo) => {
        if (upTo !== undefined) this.figures.trims++;
      },
      () => undefined,
    );
  }

  #merge(): void {
    this.#pick(this.#machines)
      .store?.merge()
      .catch(() => undefined);
  }

  /** Every node shows exactly the prefix of its position, and never goes back. */
  #look(): void {
    for (const machine of this.#machines) {
      const { store } = machine;
      if (store === undefined) continue;
      const { failure } = store.stats().replica;
      if (failure !== undefined) machine.failure = failure;
      const { position } = store;
      if (position < machine.position) {
        throw new BrokenPromise(`node ${machine.index} went back to ${position}`);
      }
      machine.position = position;
      this.#compare(machine.index, store);
    }
    this.#requireSound();
  }

  #compare(index: number, store: ReplicatedStore): void {
    this.figures.comparisons++;
    const { position } = store;
    const shown = new Map([...store.entries()].map(([key, { value }]) => [key, value]));
    const expected = this.fold.at(position);
    const isSame =
      shown.size === expected.size &&
      [...shown].every(([key, value]) => expected.get(key) === value);
    if (isSame) return;
    const difference = [...new Set([...shown.keys(), ...expected.keys()])]
      .filter((key) => shown.get(key) !== expected.get(key))
      .slice(0, 4)
      .map((key) => `${key}: ${shown.get(key)} instead of ${expected.get(key)}`);
    throw new BrokenPromise(
      `node ${index} does not show the log up to ${position}: ${difference.join(', ')}`,
    );
  }

  #requireSound(): void {
    for (const { failure, index } of this.#machines) {
      if (failure === undefined) continue;
      throw new BrokenPromise(`node ${index} fails: ${String(failure)}`, { cause: failure });
    }
  }

  /** All faults end: every node reaches the end, and an empty node can be filled. */
  async #settle(): Promise<void> {
    this.#log.faults = {};
    this.#electionsAreOver = true;
    for (const machine of this.#machines) {
      machine.connection?.heal();
      this.#open(machine);
    }
    this.#machines.push(this.#newMachine(NODES));
    this.#open(this.#machines.at(-1)!);
    for (let round = 0; round < 100; round++) {
      await this.#time.pass(1_000);
      this.#look();
      if (this.#machines.every(({ store }) => store !== undefined)) break;
    }
    const [first] = this.#machines;
    const promoted = first!.store!.promote();
    for (let round = 0; round < 20 && first!.store!.role !== 'primary'; round++) {
      await this.#time.pass(1_000);
    }
    await promoted;
    for (let round = 0; round < 30; round++) {
      await this.#time.pass(1_000);
      if (this.#machines.every(({ store }) => store!.position === this.#end)) break;
    }
    for (const { store, index } of this.#machines) {
      if (store!.position === this.#end) continue;
      throw new BrokenPromise(`node ${index} stops at ${store!.position} of ${this.#end}`);
    }
    this.#look();
    if (this.#broken !== undefined) throw this.#broken;
    const open = this.history.writes.filter(({ result }) => result === 'open');
    if (open.length > 0) throw new BrokenPromise(`batch ${open[0]!.id} is never settled`);
    this.figures.entries = Number(this.#end);
    await Promise.all(this.#machines.map(({ store }) => store!.close()));
  }
}
