import {
  AcrossShardsError,
  NotPrimaryError,
  type ShardedOptions,
  type ShardedStore,
  type ShardEngine,
  type ShardMapStore,
  type SharedLog,
} from '../../src/replicated/index.ts';
import { LogUnavailableError } from '../../src/replicated/log/log-errors.ts';
import { newShardMap, shardOfKey, type ShardMap } from '../../src/replicated/shards/shard-map.ts';
import { clockOf } from '../../src/replicated/node/replica-clock.ts';
import { ConditionFailedError, StoreError, type Update } from '../../src/index.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openShardsOn,
  SimulatedLog,
  SimulatedShardMap,
  type SimulatedConnection,
} from '../../src/testing/index.ts';
import { Random } from '../../src/testing/engine/random.ts';
import { BrokenPromise, History, MARKER_BASE, type ClientWrite } from './history.ts';
import { LogFold } from './log-fold.ts';
import { rest, SimulatedTime } from './simulated-time.ts';

const SHARDS = 3;
const KEYS = 12;
const NAMES = ['a', 'b', 'c'];
const REFRESH_MS = 40;
/** How often a client follows an address before it gives up. */
const HOPS = 6;

/** One shard: its log, and what its clients saw. */
class Shard {
  readonly fold: LogFold = new LogFold();
  readonly history: History = new History();
  readonly checkpoints: MemoryCheckpoints = new MemoryCheckpoints();
  readonly log: SimulatedLog;
  /** The node that acknowledged each sequence. */
  readonly acknowledgedBy: Map<bigint, string> = new Map();

  constructor(seed: number, chance: () => number) {
    this.log = new SimulatedLog({
      seed,
      faults: {
        lostAcknowledgement: chance(),
        refusedAppend: chance(),
        staleBounds: chance(),
        brokenRead: chance(),
        laggingRead: chance(),
      },
      onAppend: (entry) => this.fold.append(entry),
      delay: () => rest(1),
    });
  }
}

/** One machine, and the process on it. */
class Machine {
  readonly name: string;
  fs: CrashFs = new CrashFs({ trace: false });
  store: ShardedStore | undefined;
  isOpening = false;
  /** Ended by a crash: nothing of the process reaches an engine afterwards. */
  process: { isOver: boolean; readonly connections: SimulatedConnection[] } = newProcess();
  /** Calls of engines until the machine crashes. */
  callsLeft = Infinity;

  constructor(name: string) {
    this.name = name;
  }
}

function newProcess(): Machine['process'] {
  return { isOver: false, connections: [] };
}

/**
 * Several shards in each of three processes. Shards move between nodes while clients write, and
 * nodes crash at any call of an engine, so at every step of a move. Clients know one node, and
 * follow the addresses that refusals name.
 */
export class ShardWorld {
  readonly #random: Random;
  readonly #time: SimulatedTime = new SimulatedTime();
  readonly #map: SimulatedShardMap;
  readonly #shards: readonly Shard[];
  readonly #machines: readonly Machine[] = NAMES.map((name) => new Machine(name));
  readonly #created: ShardMap;
  readonly #hasElectors: boolean;
  readonly #seed: number;
  #opens = 0;
  #nextId = 1n;
  #broken: Error | undefined;
  #isSettling = false;
  readonly figures = {
    shardWrites: 0,
    shardUnknown: 0,
    redirects: 0,
    moves: 0,
    crashesInMoves: 0,
    refusedAcross: 0,
    merges: 0,
    shardEpochs: 0,
  };

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new Random(seed * 7 + 3);
    this.#hasElectors = seed % 2 === 1;
    const level = this.#random.below(3);
    const chance = (): number => (level * this.#random.below(100)) / 1_000;
    this.#map = new SimulatedShardMap(seed, chance());
    this.#shards = Array.from({ length: SHARDS }, (_, i) => new Shard(seed * 10 + i, chance));
    this.#created = newShardMap({ kind: 'hash' }, SHARDS, NAMES, 2);
  }

  /** Runs one history and checks it. Throws BrokenPromise. */
  async run(steps: number): Promise<void> {
    for (const machine of this.#machines) this.#open(machine);
    await this.#time.pass(300);
    for (let step = 0; step < steps; step++) {
      this.#step();
      await this.#time.pass(this.#random.below(60));
      this.#look();
      if (this.#broken !== undefined) throw this.#broken;
    }
    await this.#settle();
    this.#check();
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.below(from.length)]!;
  }

  #step(): void {
    const choice = this.#random.below(100);
    if (choice < 50) for (let i = 0; i <= this.#random.below(4); i++) this.#write();
    else if (choice < 56) this.#writeAcross();
    else if (choice < 68) this.#move();
    else if (choice < 74) this.#crash(this.#pick(this.#machines));
    else if (choice < 84) this.#maintain();
    else for (const machine of this.#machines) this.#open(machine);
  }

  #open(machine: Machine): void {
    if (machine.store !== undefined || machine.isOpening) return;
    machine.isOpening = true;
    machine.process = newProcess();
    const { process, name, fs } = machine;
    const options: ShardedOptions = {
      map: this.#mapOf(machine),
      connect: (shard) => this.#connect(machine, shard),
      address: name,
      create: { shards: SHARDS, nodes: NAMES, copies: 2 },
      refreshMs: REFRESH_MS,
      commitTimeoutMs: 400,
      store: { rotateBytes: 64 * 1024, mergeBytes: 1 },
    };
    const seed = this.#seed * 1_000 + ++this.#opens;
    void openShardsOn(fs, '/node', options, { seed, timer: this.#time.timer }).then(
      (store) => {
        if (process.isOver) {
          void store.close().catch(() => undefined);
          return;
        }
        machine.isOpening = false;
        machine.store = store;
      },
      (error: unknown) => {
        if (process.isOver) return;
        this.#broken ??= new BrokenPromise(`${name} does not open: ${String(error)}`, {
          cause: error,
        });
      },
    );
  }

  /** Counts a call of an engine; the machine may crash right before it. */
  #call(machine: Machine, process: Machine['process']): void {
    if (process.isOver) throw new LogUnavailableError('the process has ended');
    if (--machine.callsLeft > 0) return;
    machine.callsLeft = Infinity;
    this.figures.crashesInMoves++;
    this.#crash(machine);
    throw new LogUnavailableError('the process has ended');
  }

  #mapOf(machine: Machine): ShardMapStore {
    const { process } = machine;
    const store = this.#map.connect();
    const through = async <T>(call: () => Promise<T>): Promise<T> => {
      this.#call(machine, process);
      await rest(1 + this.#random.below(2));
      this.#call(machine, process);
      return call();
    };
    return {
      read: (options) => through(() => store.read(options)),
      replace: (version, bytes, options) => through(() => store.replace(version, bytes, options)),
      close: () => store.close(),
    };
  }

  #connect(machine: Machine, shard: number): ShardEngine {
    const { log, checkpoints } = this.#shards[shard]!;
    const { process } = machine;
    const connection = log.connect();
    process.connections.push(connection);
    const counted: SharedLog = {
      maxEntryBytes: connection.maxEntryBytes,
      append: async (position, entry, options) => {
        this.#call(machine, process);
        return connection.append(position, entry, options);
      },
      read: (from, options) => connection.read(from, options),
      bounds: async (options) => {
        this.#call(machine, process);
        return connection.bounds(options);
      },
      trim: (upTo, options) => connection.trim(upTo, options),
      close: () => connection.close(),
    };
    const engine = { log: counted, checkpoints: checkpoints.connect() };
    return this.#hasElectors ? { ...engine, elector: this.#elector(shard) } : engine;
  }

  /** The holder of each shard's election. */
  readonly #leaders: (object | undefined)[] = [];

  /** One node at a time; a term ends after a while, as after a lost lease. */
  #elector(shard: number): NonNullable<ShardEngine['elector']> {
    const clock = clockOf(this.#time.timer);
    return {
      campaign: async (_id, { signal }) => {
        const term = {};
        while (this.#leaders[shard] !== undefined) await clock.sleep(30, signal);
        signal.throwIfAborted();
        this.#leaders[shard] = term;
        const lastMs = this.#isSettling ? 1e9 : 200 + this.#random.below(4_000);
        const lost = clock
          .sleep(lastMs, signal)
          .catch(() => undefined)
          .then(() => {
            if (this.#leaders[shard] === term) this.#leaders[shard] = undefined;
          });
        return { lost };
      },
    };
  }

  #storeOf(name: string | undefined): ShardedStore | undefined {
    return this.#machines.find((one) => one.name === name)?.store;
  }

  #keysOf(shard: number): number[] {
    const keys = Array.from({ length: KEYS }, (_, key) => key);
    return keys.filter((key) => shardOfKey(this.#created, key) === shard);
  }

  #newId(shard: number): bigint {
    let id = this.#nextId;
    while (shardOfKey(this.#created, MARKER_BASE + id) !== shard) id++;
    this.#nextId = id + 1n;
    return id;
  }

  #write(): void {
    const shard = this.#random.below(SHARDS);
    const id = this.#newId(shard);
    const keys = this.#keysOf(shard).filter(() => this.#random.below(3) === 0);
    const writes = keys.map((key): [bigint, bigint] => [
      BigInt(key),
      this.#random.below(6) === 0 ? 0n : id,
    ]);
    const batch: Update[] = writes.map(([key, value]) =>
      value === 0n ? { type: 'delete', key } : { type: 'put', key, value },
    );
    batch.push({ type: 'put', key: MARKER_BASE + id, value: id });
    const { history, fold } = this.#shards[shard]!;
    const write: ClientWrite = {
      id,
      writes: [...writes, [MARKER_BASE + id, id]],
      expected: undefined,
      calledAt: fold.last,
      returnedAt: undefined,
      calledTick: history.tick(),
      returnedTick: Infinity,
      result: 'open',
      sequence: undefined,
    };
    history.writes.push(write);
    void this.#insert(shard, write, batch, this.#pick(NAMES));
  }

  /** Writes as a client does: the first node that is not the primary names another. */
  async #insert(shard: number, write: ClientWrite, batch: Update[], first: string): Promise<void> {
    const settle = (result: ClientWrite['result']): void => {
      const { history, fold } = this.#shards[shard]!;
      write.result = result;
      write.returnedAt = fold.last;
      write.returnedTick = history.tick();
    };
    let at: string | undefined = first;
    for (let hop = 0; hop < HOPS; hop++) {
      const store: ShardedStore | undefined = this.#storeOf(at);
      if (store === undefined) break;
      try {
        const { sequence } = await store.insertBatch(batch);
        write.sequence = sequence;
        this.#shards[shard]!.acknowledgedBy.set(sequence, at);
        this.figures.shardWrites++;
        return settle('applied');
      } catch (error) {
        const { outcome } = error as StoreError;
        if (
          !(error instanceof StoreError) ||
          outcome === undefined ||
          error instanceof ConditionFailedError
        ) {
          this.#broken ??= new BrokenPromise(`a write rejects with ${String(error)}`, {
            cause: error,
          });
        }
        if (outcome !== 'not-applied') {
          this.figures.shardUnknown++;
          return settle('unknown');
        }
        if (!(error instanceof NotPrimaryError) || error.address === undefined) break;
        this.figures.redirects++;
        at = error.address;
      }
    }
    settle('not-applied');
  }

  /** A batch over two shards is refused wherever it is sent. */
  #writeAcross(): void {
    const store = this.#pick(this.#machines).store;
    if (store === undefined) return;
    const keys = [0, 1].map((shard) => this.#pick(this.#keysOf(shard)));
    store.insertBatch(keys.map((key) => ({ type: 'put', key, value: 7_777n }))).then(
      () => {
        this.#broken ??= new BrokenPromise('a batch across shards was applied');
      },
      (error: unknown) => {
        if (error instanceof AcrossShardsError) this.figures.refusedAcross++;
        else this.#broken ??= new BrokenPromise(`a batch across shards: ${String(error)}`);
      },
    );
  }

  /** Moves a shard. Half of the time, a node crashes at one of the next calls of an engine. */
  #move(): void {
    const machine = this.#pick(this.#machines);
    const { store } = machine;
    if (store === undefined) return;
    const shard = this.#random.below(SHARDS);
    const to = this.#pick(NAMES);
    const { primary } = store.map.shards[shard]!;
    const from = this.#random.below(3) > 0 && primary !== to ? primary : undefined;
    this.figures.moves++;
    store.move(shard, to, from).catch(() => undefined);
    if (this.#random.below(2) === 0) return;
    const hit = this.#pick([
      machine,
      ...this.#machines.filter(({ name }) => name === to || name === from),
    ]);
    hit.callsLeft = 1 + this.#random.below(30);
  }

  #crash(machine: Machine): void {
    const { store, process, fs } = machine;
    process.isOver = true;
    for (const connection of process.connections) void connection.close();
    fs.powerOff();
    const isKill = this.#random.below(3) === 0;
    machine.fs = isKill
      ? fs.kill({ trace: false })
      : fs.randomCrash(this.#random.below(1 << 30), { trace: false });
    machine.store = undefined;
    machine.isOpening = false;
    machine.callsLeft = Infinity;
    void store?.close().catch(() => undefined);
    if (this.#random.below(2) === 0) this.#open(machine);
  }

  /** A checkpoint, a merge, or a trim of a shard that is open somewhere. */
  #maintain(): void {
    const { store } = this.#pick(this.#machines);
    const shard = this.#pick(store?.openShards ?? []);
    if (store === undefined || shard === undefined) return;
    this.figures.merges++;
    const one = store.shard(shard);
    const work = this.#random.below(2) === 0 ? one.checkpoint() : one.merge();
    Promise.resolve(work).catch(() => undefined);
  }

  /** Each open shard shows the prefix of its log, and the merged iterator all of them in order. */
  #look(): void {
    for (const { store, name } of this.#machines) {
      if (store === undefined) continue;
      const expected = new Map<bigint, bigint>();
      for (const shard of store.openShards) {
        const own = store.shard(shard);
        const state = this.#shards[shard]!.fold.at(own.position);
        requireEqual(own.entries(), state, `shard ${shard} on ${name}`);
        for (const [key, value] of state) expected.set(key, value);
      }
      if (store.openShards.length === SHARDS) {
        requireEqual(store.entries(), expected, `all shards on ${name}`);
      }
    }
  }

  /** All faults end: every shard moves to one node, and all its nodes reach its end. */
  async #settle(): Promise<void> {
    this.#isSettling = true;
    for (const { log } of this.#shards) log.faults = {};
    for (const machine of this.#machines) {
      machine.callsLeft = Infinity;
      this.#open(machine);
    }
    await this.#until('all nodes are open', () => this.#machines.every(({ store }) => store));
    const [{ store, name }] = this.#machines as [Machine];
    for (const shard of this.#shards.keys()) await this.#pass(store!.move(shard, name));
    const isThere = (shard: number): boolean => {
      const { primary, wanted } = store!.map.shards[shard]!;
      return primary === name && wanted === undefined && store!.shard(shard).role === 'primary';
    };
    await this.#until('every shard has moved', () => [...this.#shards.keys()].every(isThere));
    const isAtEnd = (shard: number): boolean =>
      this.#machines.every(({ store: one }) => {
        const isOpen = one!.openShards.includes(shard);
        const isAssigned = one!.map.shards[shard]!.replicas.includes(this.#nameOf(one!));
        return (
          isOpen === isAssigned &&
          (!isOpen || one!.shard(shard).position === this.#shards[shard]!.fold.last)
        );
      });
    await this.#until('all reach the end', () => [...this.#shards.keys()].every(isAtEnd));
    this.#look();
    if (this.#broken !== undefined) throw this.#broken;
    await Promise.all(this.#machines.map(({ store: one }) => this.#pass(one!.close())));
  }

  #nameOf(store: ShardedStore): string {
    return this.#machines.find((one) => one.store === store)!.name;
  }

  async #pass<T>(work: Promise<T>): Promise<T> {
    await this.#time.passUntil(work);
    return work;
  }

  async #until(what: string, holds: () => unknown): Promise<void> {
    for (let round = 0; round < 200; round++) {
      if (holds() === true || (holds() !== false && holds() !== undefined)) return;
      await this.#time.pass(200);
    }
    const failures = this.#machines.flatMap(({ name, store }) =>
      [...(store?.failures ?? [])].map(([shard, error]) => `${name}/${shard}: ${String(error)}`),
    );
    throw new BrokenPromise(`never: ${what}; ${failures.join('; ')}`);
  }

  #check(): void {
    const seen = new Map<bigint, number>();
    for (const [shard, { fold, history, acknowledgedBy }] of this.#shards.entries()) {
      history.check(fold);
      for (const { sequence, epoch, writes } of fold.batches) {
        for (const [key] of writes) this.#requireRouted(key, shard, seen);
        const told = acknowledgedBy.get(sequence);
        const owner = fold.takeovers.find((one) => one.epoch === epoch)?.address;
        if (told === undefined || told === owner) continue;
        throw new BrokenPromise(`${told} acknowledged for ${owner}, the primary of epoch ${epoch}`);
      }
      this.figures.shardEpochs += fold.takeovers.length;
    }
  }

  /** A key is only in the log of its shard. */
  #requireRouted(key: bigint, shard: number, seen: Map<bigint, number>): void {
    const other = seen.get(key) ?? shard;
    seen.set(key, shard);
    if (other === shard && shardOfKey(this.#created, key) === shard) return;
    throw new BrokenPromise(`key ${key} is in the logs of shards ${other} and ${shard}`);
  }
}

/** The same records, in the order of their keys. */
function requireEqual(
  shown: Iterable<[bigint, { readonly value: bigint }]>,
  expected: ReadonlyMap<bigint, bigint>,
  what: string,
): void {
  let before = -1n;
  let count = 0;
  for (const [key, { value }] of shown) {
    if (key <= before) throw new BrokenPromise(`${what}: key ${key} comes after ${before}`);
    if (expected.get(key) !== value) {
      throw new BrokenPromise(`${what}: ${key} is ${value} instead of ${expected.get(key)}`);
    }
    before = key;
    count++;
  }
  if (count !== expected.size) {
    throw new BrokenPromise(`${what}: ${count} records instead of ${expected.size}`);
  }
}
