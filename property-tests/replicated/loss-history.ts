import {
  CheckpointStoreError,
  LogLostError,
  LogUnavailableError,
  type ReplicatedStore,
  type SharedLog,
} from '../../src/replicated/index.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  repairReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';
import { Random } from '../../src/testing/engine/random.ts';
import { BrokenPromise } from './history.ts';
import { rest, SimulatedTime } from './simulated-time.ts';

const DIRECTORY = '/replica';
const KEYS = 8;

type Records = ReadonlyMap<bigint, bigint>;

interface Node {
  readonly name: string;
  fs: CrashFs;
  store: ReplicatedStore | undefined;
  failure: Error | undefined;
}

interface RepairParts {
  readonly checkpoints?: MemoryCheckpoints;
  readonly log?: SharedLog;
  readonly signal?: AbortSignal;
}

/**
 * A log loses its end, which its engine had acknowledged. No node that had it may go on silently,
 * while it runs or when it is opened again, even if the log grows to the same length. If nothing
 * else was appended meanwhile, a repair from the most advanced node brings all acknowledged batches
 * back to every node, also if checkpoints have lost entries or a first repair breaks off; else it
 * is refused.
 */
export class LossHistory {
  readonly #random: Random;
  readonly #time: SimulatedTime = new SimulatedTime();
  readonly #log: SimulatedLog;
  readonly #checkpoints: MemoryCheckpoints = new MemoryCheckpoints();
  readonly #nodes: Node[];
  /** After each position at which a batch was acknowledged. */
  readonly #states: Map<bigint, Records> = new Map([[0n, new Map()]]);
  #records: Map<bigint, bigint> = new Map();
  #opens: number;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#opens = seed * 1_000;
    this.#log = new SimulatedLog({ seed, delay: () => rest(1) });
    this.#nodes = ['first', 'second', 'third'].map(makeNode);
  }

  async run(): Promise<void> {
    const [first] = this.#nodes;
    for (const node of this.#nodes) await this.#open(node);
    await this.#settled(first!.store!.promote());
    await this.#write(6 + this.#random.below(12));
    await this.#time.pass(200);
    if (this.#random.below(2) === 0) await this.#checkpoint();
    for (const { store } of this.#nodes) {
      if (this.#random.below(2) === 0) await this.#settled(store!.merge());
    }
    const { first: oldest, last } = this.#log.bounds;
    const kept = oldest + BigInt(this.#random.below(Number(last - oldest)));
    const isGrown = this.#random.below(2) === 0;
    const end = isGrown ? this.#grownEnd(kept, last) : kept;
    // A node that runs compares its last entry with the next one, or when it takes over.
    const mayRun = (i: number): boolean => end !== last && (i === 0 || this.#random.below(2) === 0);
    const reopened = this.#nodes.filter((_, i) => !mayRun(i));
    for (const node of reopened) await this.#crash(node);
    this.#log.lose(kept);
    if (isGrown) await this.#grow(end);
    for (const node of reopened) await this.#open(node);
    await this.#time.pass(3_000);
    this.#requireNoticed(kept);
    await this.#closeAll();
    if (isGrown) await this.#requireRefusedRepair();
    else await this.#repair();
  }

  async #settled<T>(work: Promise<T>): Promise<T> {
    await this.#time.passUntil(work);
    return work;
  }

  async #open(node: Node, checkpoints = this.#checkpoints): Promise<void> {
    const { timer } = this.#time;
    const own = { pollMs: 50, lostAfterMs: 500, syncEveryMs: 30, checkpointEveryMs: 0 };
    const log = this.#log.connect();
    const options = { ...own, log, checkpoints: checkpoints.connect(), mergeBytes: 2 ** 40 };
    const seed = ++this.#opens;
    const opening = openReplicaOn(node.fs, DIRECTORY, options, { seed, timer });
    try {
      node.store = await this.#settled(opening);
    } catch (error) {
      node.failure = error as Error;
    }
  }

  async #write(batches: number): Promise<void> {
    const { store } = this.#nodes[0]!;
    for (let i = 0; i < batches; i++) {
      const key = BigInt(this.#random.below(KEYS));
      const value = BigInt(1 + this.#random.below(1_000));
      const isRange = this.#random.below(5) === 0;
      const range = { gte: key, lt: key + 3n };
      await this.#settled(isRange ? store!.deleteRange(range) : store!.put(key, value));
      if (!isRange) this.#records.set(key, value);
      else for (let one = range.gte; one < range.lt; one++) this.#records.delete(one);
      this.#states.set(store!.position, new Map(this.#records));
    }
  }

  async #crash(node: Node): Promise<void> {
    const { fs, store } = node;
    fs.powerOff();
    node.fs = fs.randomCrash(this.#random.below(1 << 30));
    node.store = undefined;
    await this.#settled(store!.close().catch(() => undefined));
  }

  /** The end of a log that grew again: at least a takeover and a batch. */
  #grownEnd(kept: bigint, last: bigint): bigint {
    const isEqual = last >= kept + 2n && this.#random.below(3) === 0;
    return isEqual ? last : kept + 2n + BigInt(this.#random.below(Number(last - kept) + 1));
  }

  /** Replicas write checkpoints, so nothing is trimmed. */
  async #checkpoint(): Promise<void> {
    const [, second, third] = this.#nodes;
    for (const node of [second!, third!]) {
      await this.#settled(node.store!.checkpoint());
      await this.#write(1 + this.#random.below(3));
    }
    await this.#time.pass(200);
  }

  /** A node that starts with nothing writes another history, up to position `end`. */
  async #grow(end: bigint): Promise<void> {
    const stranger = makeNode('stranger');
    await this.#open(stranger, new MemoryCheckpoints());
    await this.#settled(stranger.store!.promote());
    for (let key = 100n; this.#log.bounds.last < end; key++) {
      await this.#settled(stranger.store!.put(key, key));
    }
    await this.#settled(stranger.store!.close());
  }

  #requireNoticed(kept: bigint): void {
    for (const { name, store, failure } of this.#nodes) {
      const reason = failure ?? store?.stats().replica.failure;
      if (reason instanceof LogLostError) continue;
      if (reason !== undefined) throw new BrokenPromise(`${name} fails: ${String(reason)}`);
      const { position } = store!;
      if (position <= kept && isSame(store!, this.#stateAt(position))) continue;
      throw new BrokenPromise(`${name} is at ${position} of a log that was cut at ${kept}`);
    }
    const { store, failure } = this.#nodes[0]!;
    if ((failure ?? store?.stats().replica.failure) === undefined) {
      throw new BrokenPromise('the primary has not noticed the loss');
    }
  }

  #stateAt(position: bigint): Records {
    let at = position;
    while (!this.#states.has(at)) at--;
    return this.#states.get(at)!;
  }

  async #closeAll(): Promise<void> {
    for (const node of this.#nodes) {
      await this.#settled(node.store?.close() ?? Promise.resolve());
      node.store = undefined;
      node.failure = undefined;
    }
  }

  #tryRepair({
    checkpoints = this.#checkpoints.connect(),
    log = this.#log.connect(),
    signal = new AbortController().signal,
  }: RepairParts = {}): Promise<unknown> {
    const options = { log, checkpoints, signal, lostAfterMs: 500 };
    const seed = ++this.#opens;
    const { timer } = this.#time;
    return this.#settled(repairReplicaOn(this.#nodes[0]!.fs, DIRECTORY, options, { seed, timer }));
  }

  async #requireRefusedRepair(): Promise<void> {
    const before = this.#log.bounds.last;
    const result = await this.#tryRepair().catch((error: unknown) => error);
    if (!(result instanceof LogLostError) || this.#log.bounds.last !== before) {
      throw new BrokenPromise(`a repair against a log that has grown: ${String(result)}`);
    }
  }

  /**
   * A repair that breaks off before its checkpoint is stored. No node takes over without the
   * batches that the repair restores; the next repair stores the checkpoint.
   */
  async #breakOffRepair(): Promise<void> {
    const checkpoints = this.#checkpoints.connect();
    checkpoints.put = () =>
      Promise.reject(new CheckpointStoreError('unavailable', 'the repair is to break off'));
    const result = await this.#tryRepair({ checkpoints }).catch((error: unknown) => error);
    if (!(result instanceof CheckpointStoreError)) {
      throw new BrokenPromise(`a repair without its checkpoint: ${String(result)}`);
    }
    const late = makeNode('late');
    await this.#open(late);
    if (late.store === undefined) throw new BrokenPromise(`late: ${String(late.failure)}`);
    await this.#time.pass(300);
    late.store.promote().catch(() => undefined);
    await this.#time.pass(2_000);
    if (late.store.role === 'primary') {
      throw new BrokenPromise('a node took over without the batches of a repair');
    }
    await this.#settled(late.store.close());
  }

  /** A repair whose takeover gets into the log, and which is interrupted without an answer. */
  async #interruptRepair(): Promise<void> {
    const connection = this.#log.connect();
    const interrupting = new AbortController();
    const { signal } = interrupting;
    const log: SharedLog = {
      maxEntryBytes: connection.maxEntryBytes,
      append: async (...given) => {
        await connection.append(...given);
        interrupting.abort(new Error('the repair is to be interrupted'));
        throw new LogUnavailableError('the repair is to be interrupted');
      },
      read: (...given) => connection.read(...given),
      bounds: (...given) => connection.bounds(...given),
      trim: (...given) => connection.trim(...given),
      close: () => connection.close(),
    };
    const result = await this.#tryRepair({ log, signal }).catch((error: unknown) => error);
    if (result === signal.reason) return;
    throw new BrokenPromise(`a repair without an answer: ${String(result)}`);
  }

  async #repair(): Promise<void> {
    const isBrokenOff = this.#random.below(2) === 0;
    if (isBrokenOff && this.#opens % 2 === 0) await this.#interruptRepair();
    else if (isBrokenOff) await this.#breakOffRepair();
    await this.#tryRepair();
    this.#nodes.push(makeNode('new'));
    for (const node of this.#nodes) await this.#open(node);
    await this.#time.pass(3_000);
    for (const node of this.#nodes) {
      const reason = node.failure ?? node.store?.stats().replica.failure;
      if (!(reason instanceof LogLostError)) continue;
      // It had more than the log has now: the operator empties its directory.
      await this.#settled(node.store?.close() ?? Promise.resolve());
      Object.assign(node, makeNode(node.name));
      await this.#open(node);
    }
    await this.#time.pass(3_000);
    const { last } = this.#log.bounds;
    for (const { name, store, failure } of this.#nodes) {
      const reason = failure ?? store?.stats().replica.failure;
      if (reason !== undefined)
        throw new BrokenPromise(`after the repair ${name}: ${String(reason)}`);
      const isWhole = store!.position === last && isSame(store!, this.#records);
      if (!isWhole) throw new BrokenPromise(`${name} lacks acknowledged batches after the repair`);
    }
    await this.#closeAll();
  }
}

function makeNode(name: string): Node {
  return { name, fs: new CrashFs({ trace: false }), store: undefined, failure: undefined };
}

function isSame(store: ReplicatedStore, expected: Records): boolean {
  const shown = [...store.entries()];
  return (
    shown.length === expected.size && shown.every(([key, { value }]) => expected.get(key) === value)
  );
}
