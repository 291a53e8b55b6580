import { StoreError, type MetadataStore } from '../../src/index.ts';
import type { StoreFactory } from './store-factory.ts';
import type { Demand } from './model.ts';
import type { SimulatedMachine } from './simulated-machine.ts';
import { describeState, digestOf, readState, type State } from './state.ts';
import { Violation } from './violation.ts';

interface Sight {
  readonly sequence: bigint;
  readonly state: State;
}

/**
 * Another process that follows the writer until the machine stops. What it has shown is durable:
 * the worst crash at that moment keeps it, and so does every later one.
 */
export class Follower {
  readonly #factory: StoreFactory;
  readonly #simulated: SimulatedMachine;
  #store: MetadataStore | undefined;
  /** The machine that it runs on. */
  #generation = 0;
  #shown: Sight = { sequence: 0n, state: new Map() };

  constructor(factory: StoreFactory, simulated: SimulatedMachine) {
    this.#factory = factory;
    this.#simulated = simulated;
  }

  /** Shows what the writer has noted, and checks what the worst crash would leave. */
  async look(): Promise<void> {
    const sight = await this.#refresh();
    if (sight === undefined) return;
    const left = this.#simulated.machine.minimalCrash({ trace: false });
    const opening = this.#factory.open(left);
    const survivor = await this.#simulated.bounded(opening, 'an open after the worst crash');
    requireSight(survivor, sight, 'after the worst crash');
    await survivor.close();
  }

  /** The writer was closed, so everything must show. */
  async lookAtEnd(demand: Demand): Promise<void> {
    const sight = await this.#refresh();
    if (sight !== undefined && !demand.has(digestOf(sight.state))) {
      const told = describeState(sight.state);
      throw new Violation('I10', `after the close a follower shows ${told}`);
    }
    await this.drop();
  }

  /** A writer has opened the store: it must have what was shown before. */
  requireShown(writer: MetadataStore): void {
    requireSight(writer, this.#shown, 'after an open');
  }

  /** The process ends. */
  async drop(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await store?.close().catch(() => undefined);
  }

  /** Undefined if the directory kept changing. */
  async #refresh(): Promise<Sight | undefined> {
    const { generation } = this.#simulated;
    if (this.#generation !== generation) await this.drop();
    this.#generation = generation;
    try {
      this.#store ??= await this.#simulated.bounded(
        this.#factory.follow(this.#simulated.machine),
        'the open of a follower',
      );
      await this.#simulated.bounded(this.#store.refresh(), 'a look of a follower');
    } catch (error) {
      const isBusy =
        error instanceof StoreError && error.message.includes('changed during each of');
      if (isBusy) return undefined;
      if (error instanceof Violation) throw error;
      throw new Violation('I5', `a follower fails: ${String(error)}`, error);
    }
    const state = readState(this.#store);
    const { lastSequence: sequence } = this.#store.stats();
    requireSight(this.#store, this.#shown, 'of a follower');
    this.#shown = { sequence, state };
    return this.#shown;
  }
}

/** Checks that a store has what was shown: equal with as many batches, else more. */
function requireSight(store: MetadataStore, shown: Sight, when: string): void {
  const { lastSequence } = store.stats();
  const state = readState(store);
  const isThere =
    lastSequence === shown.sequence
      ? digestOf(state) === digestOf(shown.state)
      : lastSequence > shown.sequence;
  if (isThere) return;
  const before = `${describeState(shown.state)} as of batch ${shown.sequence}`;
  throw new Violation(
    'I10',
    `a follower showed ${before}; ${when} it is ${describeState(state)} as of batch ${lastSequence}`,
  );
}
