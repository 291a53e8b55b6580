import type { MetadataStore } from '../../src/index.ts';
import { parseFileName } from '../../src/format/file-name.ts';
import type { CrashFs, CrashStates } from '../../src/testing/index.ts';
import type { Figures } from './figures.ts';
import type { StoreFactory } from './store-factory.ts';
import type { StopPoint } from './stop-point.ts';
import { tell, type Demand } from './model.ts';
import {
  dataOf,
  describeState,
  digestOf,
  KEYS,
  PROBE_KEY,
  readState,
  valueOf,
  type State,
} from './state.ts';
import { Violation } from './violation.ts';

export interface CheckerOptions {
  /** One tree in this many gets all checks; the others are opened and read. */
  readonly thoroughEvery: number;
  /** The recovery of one tree in this many is crashed. */
  readonly nestedEvery: number;
  /** Crash states per stop point of a recovery. */
  readonly nestedCap: number;
  /** Maximum depth of crashed recoveries. */
  readonly nestedDepth: number;
}

const PROBE_VALUE = valueOf(999_999, 33);
/** Maximum size of any file of a program's store. */
const BOUND_BYTES: number = 4 * 1024 * 1024;

/** Opens each distinct tree that a crash leaves, and compares the result with the demand. */
export class Checker {
  /** Maps the hash of a tree to the digest of the state that it recovers to. */
  readonly known: Map<number, number> = new Map();
  readonly #factory: StoreFactory;
  readonly #options: CheckerOptions;
  readonly #figures: Figures;

  constructor(factory: StoreFactory, options: CheckerOptions, figures: Figures) {
    this.#factory = factory;
    this.#options = options;
    this.#figures = figures;
  }

  async check(stopPoint: StopPoint): Promise<void> {
    this.#figures.stopPoints++;
    const { demand, at } = stopPoint;
    if (stopPoint.kind === 'killed') {
      await this.#judgeKill(stopPoint.machine, stopPoint.killDemand, demand, at);
    } else if (stopPoint.kind === 'minimal') {
      const restart = () => stopPoint.machine.kill({ trace: false });
      const hash = stopPoint.machine.hash();
      await this.#checkTree(hash, restart, demand, () => `the worst crash at ${at}`, 0);
    } else {
      await this.#checkAll(stopPoint.states, stopPoint.machine, demand, at, 0);
      const { raw, capped } = stopPoint.states.counts;
      this.#figures.raw += raw;
      this.#figures.capped += capped;
    }
  }

  async #checkAll(
    states: CrashStates,
    machine: CrashFs,
    demand: Demand,
    at: string,
    depth: number,
  ): Promise<void> {
    for (const state of states) {
      const describe = () => `crash at ${at}: ${state.describe()}`;
      const restart = () => machine.materialise(state, { trace: false });
      await this.#checkTree(state.hash, restart, demand, describe, depth);
    }
  }

  async #checkTree(
    hash: number,
    restart: () => CrashFs,
    demand: Demand,
    describe: () => string,
    depth: number,
  ): Promise<void> {
    this.#figures.checked++;
    if (depth > 0) this.#figures.nested++;
    let digest = this.known.get(hash);
    if (digest !== undefined && demand.has(digest)) return;
    try {
      const { found, digest: made } = await this.#recover(restart(), demand);
      digest = made;
      this.known.set(hash, digest);
      if (hash % this.#options.thoroughEvery === 0) await this.#checkThoroughly(restart(), found);
      if (hash % this.#options.nestedEvery === 0 && depth < this.#options.nestedDepth) {
        await this.#crashRecovery(restart, found, depth + 1);
      }
    } catch (error) {
      throw told(error, describe());
    }
  }

  /** I1 to I5: opens the tree and compares. */
  async #recover(machine: CrashFs, demand: Demand): Promise<{ found: State; digest: number }> {
    const store = await this.#open(machine);
    const found = readState(store);
    const digest = digestOf(found);
    if (!demand.has(digest)) {
      throw new Violation('I1', `recovered ${describeState(found)}, demanded ${tell(demand)}`);
    }
    return { found, digest };
  }

  async #open(machine: CrashFs): Promise<MetadataStore> {
    this.#figures.opens++;
    try {
      return await this.#factory.open(machine);
    } catch (error) {
      throw new Violation('I5', `open refuses a legal crash state: ${String(error)}`, error);
    }
  }

  async #expect(
    machine: CrashFs,
    expected: State,
    rule: string,
    what: string,
  ): Promise<MetadataStore> {
    const store = await this.#open(machine);
    const found = readState(store);
    if (digestOf(found) !== digestOf(expected)) {
      throw new Violation(
        rule,
        `${what} shows ${describeState(found)}, not ${describeState(expected)}`,
      );
    }
    return store;
  }

  async #checkThoroughly(machine: CrashFs, found: State): Promise<void> {
    this.#figures.thorough++;
    const first = await this.#expect(machine, found, 'I6', 'a second machine');
    await first.close();
    checkFiles(machine);
    // The first open may remove a log, so that the second one cuts the reserve off the preceding
    // log.
    const second = await this.#expect(machine, found, 'I6', 'the second open');
    await second.close();
    const hash = machine.hash();
    const third = await this.#expect(machine, found, 'I6', 'the third open');
    await third.close();
    if (machine.hash() !== hash) throw new Violation('I6', 'the third open changes files');
    const last = await this.#expect(machine, found, 'I6', 'the fourth open');
    const probe = [
      { type: 'put' as const, key: PROBE_KEY, value: PROBE_VALUE, data: dataOf(PROBE_VALUE) },
    ];
    await last.insertBatch(probe);
    const withProbe = new Map(found).set(KEYS.length, PROBE_VALUE);
    const again = await this.#expect(
      machine.minimalCrash(),
      withProbe,
      'I8',
      'after a new batch, a crash',
    );
    await again.close();
    await this.#expect(
      machine.randomCrash(hash % 1000),
      withProbe,
      'I8',
      'after a new batch, some crash',
    );
    await this.#expect(machine.kill(), withProbe, 'I8', 'after a new batch, a kill');
    await last.close();
  }

  /** I7: after any crash during the recovery, the next recovery shows the same state. */
  async #crashRecovery(restart: () => CrashFs, found: State, depth: number): Promise<void> {
    const demand = new Map([[digestOf(found), found]]);
    const origin = restart();
    await this.#crashOpen(origin, demand, 'a recovery', depth);
  }

  /** Opens a machine and crashes it at each of its syncs. */
  async #crashOpen(
    origin: CrashFs,
    demand: Demand,
    what: string,
    depth: number,
  ): Promise<MetadataStore> {
    const stopPoints: { states: CrashStates; machine: CrashFs; at: string }[] = [];
    const cap = this.#options.nestedCap;
    const opened = origin.kill({
      trace: false,
      onCrashPoint: ({ path, number, fs }) => {
        stopPoints.push({
          states: fs.crashStates({ cap, seed: number }),
          machine: fs.kill({ trace: false }),
          at: `sync ${number} of ${what}, of ${path}`,
        });
      },
    });
    const store = await this.#open(opened);
    for (const { states, machine, at } of stopPoints)
      await this.#checkAll(states, machine, demand, at, depth);
    return store;
  }

  /**
   * L1: after a kill, the page cache remains. What an open shows then must survive a power failure,
   * although the dead process may never have synced it.
   */
  async #judgeKill(killed: CrashFs, killDemand: Demand, demand: Demand, at: string): Promise<void> {
    this.#figures.kills++;
    const machine = killed.kill({ trace: false });
    try {
      const { found } = await this.#recover(machine, killDemand);
      await this.#expect(machine.minimalCrash(), found, 'I8', 'an open after a kill, then a crash');
      const shown = new Map([[digestOf(found), found]]);
      const states = machine.crashStates({ cap: this.#options.nestedCap });
      await this.#checkAll(states, machine, shown, `after a kill at ${at} and an open`, 1);
      const store = await this.#crashOpen(killed, demand, `the open after a kill at ${at}`, 1);
      await store.close();
    } catch (error) {
      throw told(error, `kill at ${at}`);
    }
  }
}

function told(error: unknown, where: string): Violation {
  if (error instanceof Violation)
    return new Violation(error.rule, `${error.reason}\n  ${where}`, error.cause);
  return new Violation('I5', `${String(error)}\n  ${where}`, error);
}

/** I9: after open and close, only files that the store needs remain. */
function checkFiles(machine: CrashFs): void {
  const snapshots: number[] = [];
  const logs: number[] = [];
  let bytes = 0;
  for (const [path, content] of machine.files()) {
    const name = parseFileName(path.slice(path.lastIndexOf('/') + 1));
    bytes += content.length;
    if (name.kind === 'temporary') throw new Violation('I9', `${path} is left behind`);
    if (name.kind === 'snapshot') snapshots.push(name.number);
    if (name.kind === 'log') logs.push(name.number);
  }
  const [newest] = snapshots;
  if (newest === undefined || snapshots.length > 1) {
    throw new Violation('I9', `after open and close there are ${snapshots.length} snapshots`);
  }
  const merged = logs.find((number) => number <= newest);
  if (merged !== undefined) throw new Violation('I9', `merged log ${merged} is left behind`);
  if (bytes > BOUND_BYTES) throw new Violation('I9', `${bytes} bytes are left behind`);
}
