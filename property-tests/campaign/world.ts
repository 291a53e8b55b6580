import { StoreBusyError, type BatchDurability, type MetadataStore } from '../../src/index.ts';
import type { CrashFs, FaultRule } from '../../src/testing/index.ts';
import { Clock } from './clock.ts';
import { Disturbances } from './disturbances.ts';
import type { StoreFactory } from './store-factory.ts';
import { Follower } from './follower.ts';
import {
  requireLegalClose,
  requireLegalMerge,
  requireLegalOpen,
  requireLegalRejection,
  requireLocked,
  requireOutcome,
} from './legal-refusals.ts';
import { Model, type Demand, type FailureKind, type ModelBatch } from './model.ts';
import { letCallsEnd, moveAway, moveLogAway, pause, readBeside } from './outside.ts';
import type { Command, Settings } from './program.ts';
import { repeatRefused } from './repetition.ts';
import { SimulatedMachine, type MachineOptions } from './simulated-machine.ts';
import { changeOf, readState, toUpdates, type Change, type Op } from './state.ts';
import { untilSynced } from './timer-sync.ts';
import { Violation } from './violation.ts';

/** Merges never begin by themselves. */
const ENDLESS_BYTES = 2 ** 40;
const LISTED_UPDATES = 64;
const LEASE_LOST: FaultRule = { call: 'renewLease', error: 'EIO', mode: 'sticky' };

/** As many as a merge of small files lasts, about. */
const READS_BESIDE_MERGE = 8;

/** Runs one program against the store and its model. Its machine collects the stop points. */
export class World {
  readonly model: Model = new Model();
  readonly simulated: SimulatedMachine;
  readonly #factory: StoreFactory;
  readonly #settings: Settings;
  readonly #follower: Follower | undefined;
  readonly #disturbances: Disturbances;
  #store: MetadataStore | undefined;
  #clock: Clock = new Clock();
  #serial = 0;
  #inFlight: Promise<void>[] = [];
  #closing = false;
  #opens = 0;
  /** The open in which the process was paused last. */
  #pausedOpen = 0;
  #slices = 0;

  constructor(settings: Settings, factory: StoreFactory, options: MachineOptions) {
    this.#settings = settings;
    this.#factory = factory;
    this.simulated = new SimulatedMachine(settings, options, (failureKind) =>
      this.#demand(failureKind),
    );
    this.#disturbances = new Disturbances(this.simulated, settings.disk === 'limited');
    if (settings.isFollowed === true) this.#follower = new Follower(factory, this.simulated);
  }

  /** Creates the store. With a rule, calls fail from the first one on. */
  async start(rule?: FaultRule): Promise<void> {
    await this.simulated.fit();
    if (rule !== undefined) this.#disturbances.plan(rule);
    await this.#open();
  }

  /** Waits for everything, closes the store, and checks it once more. */
  async finish(): Promise<void> {
    await this.#settle();
    this.simulated.look('the end');
    await this.#close();
    this.simulated.look('after close');
    if (this.#disturbances.mood === 'failing') await this.#follower?.drop();
    else await this.#follower?.lookAtEnd(this.model.demand());
    this.simulated.throwFailure();
  }

  async run(command: Command): Promise<void> {
    switch (command.kind) {
      case 'batch':
        return this.#hand([this.#insert(command.ops, command.durability)], command.wait);
      case 'burst':
        return this.#hand(
          command.batches.map((ops, i) => this.#insert(ops, command.durabilities?.[i])),
          command.wait,
        );
      case 'now':
        return this.#insertNow(command.batches, command.durability);
      case 'sync':
        return this.#hand([this.#sync()], command.wait);
      case 'tick':
        return this.#tick();
      case 'merge':
        return this.#hand([this.#merge()], command.wait);
      case 'settle':
        return this.#settle();
      case 'reopen':
        await this.#close();
        this.#disturbances.closed();
        return this.#open();
      case 'second-open':
        return this.#openTwice();
      case 'read-beside':
        if (this.#disturbances.mood === 'failing') return;
        await this.#readBeside(command.merging);
        return this.#follower?.look();
      case 'pause':
        this.#pausedOpen = this.#opens;
        if (command.isLost) this.#disturbances.plan(LEASE_LOST);
        return pause(this.simulated, this.#factory.directory, command.rings);
      case 'move':
        return this.#move(command);
      case 'repeat':
        // A poisoned store refuses without a turn of the event loop.
        if (this.#disturbances.mood === 'failing') return;
        return repeatRefused(this.#store!, this.simulated, command.callers, this.#merge());
      case 'crash':
        return this.#crash(command.choices);
      case 'kill':
        return this.#crash(undefined);
      case 'crash-during-open':
        return this.#crashDuringOpen(command);
      case 'free':
        await this.#settle();
        return this.#disturbances.disturb(command);
      case 'fail':
      case 'heal':
      case 'fill':
      case 'abort':
        return this.#disturbances.disturb(command);
    }
  }

  /** Reads several times while a merge removes and renames what is being read, or once. */
  async #readBeside(merging: boolean): Promise<void> {
    if (merging) await this.#hand([this.#merge()], false);
    for (let times = merging ? READS_BESIDE_MERGE : 1; times > 0; times--) {
      await readBeside(this.#factory, this.simulated, this.model.demand());
    }
  }

  /** A limited disk may lack the space for the other directory. */
  async #move({ what, batches }: Extract<Command, { kind: 'move' }>): Promise<void> {
    if (this.#disturbances.mood !== 'calm' || this.#settings.disk === 'limited') return;
    await this.#settle();
    const insert = () =>
      this.#hand(
        batches.map((ops) => this.#insert(ops)),
        true,
      );
    const { directory } = this.#factory;
    if (what === 'directory') return moveAway(this.simulated, directory, insert);
    // Merges that begin by themselves would open the next log meanwhile.
    const { liveNumber } = this.#store!.stats().logs;
    if (this.#settings.mergeBytes < ENDLESS_BYTES || liveNumber === undefined) return;
    this.#disturbances.failed();
    const before = this.model.acknowledged;
    await moveLogAway(this.simulated, directory, liveNumber, insert);
    if (this.model.acknowledged > before) {
      throw new Violation('I1', 'a batch is acknowledged whose log has lost its name');
    }
    await this.run({ kind: 'reopen' });
  }

  #demand(failureKind: FailureKind): Demand {
    if (this.#store === undefined) return this.model.demand();
    // After a failed sync, bytes that readers saw may be missing from the page cache, too.
    const worst = this.#disturbances.mood === 'failing' ? 'power' : failureKind;
    return this.model.demandOf(readState(this.#store), worst);
  }

  async #hand(promises: readonly Promise<void>[], wait: boolean): Promise<void> {
    this.#inFlight.push(...promises);
    if (wait) await this.#settle();
  }

  async #settle(): Promise<void> {
    await this.simulated.bounded(Promise.all(this.#inFlight.splice(0)), 'what is in flight');
    this.simulated.throwFailure();
  }

  /** Runs `action` unless the machine has stopped since. */
  #inGeneration<T>(action: (argument: T) => void): (argument: T) => void {
    const { generation } = this.simulated;
    return (argument) => {
      if (generation === this.simulated.generation) this.simulated.note(() => action(argument));
    };
  }

  /** The durability of batches that do not set one. */
  get #durability(): BatchDurability {
    return typeof this.#settings.durability === 'object' ? 'deferred' : 'sync';
  }

  #changesOf(ops: readonly Op[]): Change[] {
    return ops.map((op) => changeOf(op, () => ++this.#serial));
  }

  /** Inserts the batches one after another, without a turn of the event loop between them. */
  async #insertNow(
    batches: readonly (readonly Op[])[],
    durability: BatchDurability | undefined,
  ): Promise<void> {
    if (this.#commits === 'background') {
      return this.#hand(
        batches.map((ops) => this.#insert(ops, durability)),
        true,
      );
    }
    for (const ops of batches) {
      const changes = this.#changesOf(ops);
      const batch = this.model.begin(changes, durability ?? this.#durability);
      try {
        this.#store!.insertBatchSync(toUpdates(changes), { durability });
      } catch (error) {
        if (error instanceof StoreBusyError && this.#mayBeBusy(error.reason))
          this.model.reject(batch, 'not-applied');
        else this.#rejected(batch, error);
        continue;
      }
      this.model.acknowledge(batch);
      this.simulated.lookAtWorst('a call that returned');
    }
    this.simulated.throwFailure();
  }

  /** Whether a blocking call may be refused for this reason now. */
  #mayBeBusy(reason: StoreBusyError['reason']): boolean {
    if (this.#inFlight.length > 0 || reason === 'merges') return true;
    return reason === 'pause' && this.#pausedOpen === this.#opens;
  }

  #insert(ops: readonly Op[], durability?: BatchDurability): Promise<void> {
    const changes = this.#changesOf(ops);
    const batch = this.model.begin(changes, durability ?? this.#durability);
    const updates = toUpdates(changes);
    // Long ones as iterables, of which the store reads one at a time.
    const given = updates.length > LISTED_UPDATES ? updates.values() : updates;
    return this.#store!.insertBatch(given, { durability }).then(
      this.#inGeneration(() => {
        this.model.acknowledge(batch);
        // I12: an acknowledged batch survives the worst crash at once.
        this.simulated.lookAtWorst('an acknowledgement');
      }),
      this.#inGeneration((error: unknown) => this.#rejected(batch, error)),
    );
  }

  #rejected(batch: ModelBatch, error: unknown): void {
    this.model.reject(batch, requireOutcome(error, this.#disturbances.mood));
    this.simulated.lookAtWorst('a rejection');
  }

  #sync(): Promise<void> {
    const { count } = this.model;
    return this.#store!.sync().then(
      this.#inGeneration(() => {
        this.model.synced(count);
        this.simulated.lookAtWorst('a sync');
      }),
      this.#inGeneration((error: unknown) =>
        requireLegalRejection('a sync', error, this.#disturbances.mood),
      ),
    );
  }

  /** Fires the timer: earlier writes become durable soon, without a request. */
  async #tick(): Promise<void> {
    this.#clock.ring();
    await this.#settle();
    if (this.#disturbances.mood !== 'calm') return;
    await this.simulated.bounded(untilSynced(this.#store!, this.#clock), 'the sync of the timer');
    this.model.synced(this.model.count);
    this.simulated.lookAtWorst('a tick');
  }

  #merge(): Promise<void> {
    return this.#store!.merge().catch(
      this.#inGeneration((error: unknown) =>
        requireLegalMerge(error, this.#disturbances.mood, this.#closing),
      ),
    );
  }

  /** The `commits` option of the open store, or of the next one. */
  get #commits(): 'background' | 'inline' {
    const { commits = 'background' } = this.#settings;
    if (commits !== 'in turn') return commits;
    return this.#opens % 2 === 0 ? 'inline' : 'background';
  }

  /** The next slice of the store's work begins before or after the calls in flight have ended. */
  async #rest(): Promise<void> {
    if (this.#slices++ % 2 === 0) await letCallsEnd(this.simulated, () => this.#store);
  }

  async #open(): Promise<void> {
    this.#opens++;
    for (let attempt = 1; this.#store === undefined; attempt++) {
      const sizes = { ...this.#settings, commits: this.#commits, pause: () => this.#rest() };
      const opening = this.#factory.open(this.simulated.machine, sizes, this.#clock);
      try {
        this.#store = await this.simulated.bounded(opening, 'an open');
      } catch (error) {
        this.#judgeRefusal(error, attempt);
        await this.#disturbances.end();
      }
    }
    this.model.collapse(readState(this.#store));
    this.#follower?.requireShown(this.#store);
    this.simulated.look('an open');
    this.simulated.throwFailure();
  }

  /** I5: only a failing call may keep a store from opening, and only while it fails. */
  #judgeRefusal(error: unknown, attempt: number): void {
    const isHindered = this.#disturbances.mood === 'failing' || this.simulated.isFull;
    requireLegalOpen(error, isHindered && attempt === 1);
  }

  async #close(): Promise<void> {
    const store = this.#store!;
    const inFlight = Promise.all(this.#inFlight.splice(0));
    this.#closing = true;
    const closing = store.close().then(
      this.#inGeneration(() => this.model.closed()),
      this.#inGeneration((error: unknown) => requireLegalClose(error, this.#disturbances.mood)),
    );
    await this.simulated.bounded(closing, 'a close');
    await this.simulated.bounded(inFlight, 'what was handed in before a close');
    this.#closing = false;
    this.simulated.throwFailure();
    this.#leave(this.model.demand());
  }

  /** The store is closed; the next open must show one of the demanded states. */
  #leave(demand: Demand, shown: Demand = demand): void {
    this.#store = undefined;
    this.#inFlight = [];
    this.model.shut(demand, shown);
  }

  /** I11: there is one writer. */
  async #openTwice(): Promise<void> {
    if (this.#disturbances.mood !== 'calm') return;
    const second = this.#factory.open(this.simulated.machine).then(
      () => undefined,
      (error: unknown) => error,
    );
    requireLocked(await this.simulated.bounded(second, 'a second open'));
  }

  async #crash(choices: readonly number[] | undefined): Promise<void> {
    await this.#goDown(choices, choices === undefined ? 'kill' : 'power');
    await this.#open();
  }

  async #goDown(choices: readonly number[] | undefined, failureKind: FailureKind): Promise<void> {
    this.simulated.throwFailure();
    const demand = this.#demand('power');
    const shown = this.#demand(failureKind);
    const store = this.#store;
    this.#clock = new Clock();
    void this.#follower?.drop();
    await this.simulated.restart(choices);
    void store?.close().catch(() => undefined);
    this.#leave(demand, shown);
    this.#disturbances.restarted();
  }

  /** I7: the machine stops again while it recovers. */
  async #crashDuringOpen(command: Extract<Command, { kind: 'crash-during-open' }>): Promise<void> {
    // The power fails before anything is known to be durable.
    await this.#goDown(command.before, 'power');
    const state = { isOver: false };
    this.simulated.setAlarm(command.nth, (machine: CrashFs) => {
      state.isOver = true;
      machine.powerOff();
    });
    const sizes = { ...this.#settings, commits: this.#commits };
    const opening = this.#factory.open(this.simulated.machine, sizes);
    const store = await this.simulated.bounded(
      opening.catch((error: unknown) => {
        if (!state.isOver) this.#judgeRefusal(error, 1);
      }),
      'an open that is cut off',
    );
    this.simulated.setAlarm(0, undefined);
    await this.simulated.restart(command.choices);
    void store?.close().catch(() => undefined);
    this.#disturbances.restarted();
    await this.#open();
  }
}
