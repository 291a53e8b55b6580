import type { BatchDurability } from '../../src/index.ts';
import { applyChanges, describeState, digestOf, type Change, type State } from './state.ts';
import { Violation } from './violation.ts';

/** The result of a batch. `deferred`: acknowledged, but not yet durable. */
export type Fate = 'pending' | 'deferred' | 'acked' | 'not-applied' | 'unknown';

/**
 * How the machine stops. A power failure loses what is not durable; a kill loses only what is not
 * visible.
 */
export type FailureKind = 'power' | 'kill';

export interface ModelBatch {
  readonly changes: readonly Change[];
  readonly durability: BatchDurability;
  fate: Fate;
}

/** States that a crash at one point may leave, by digest. */
export type Demand = ReadonlyMap<number, State>;

/**
 * What was promised. Between two opens: one base state and the batches inserted since, in order.
 * While the store is closed: the states that the next open may show.
 */
export class Model {
  #bases: Demand;
  /**
   * What the next open may show if the power stays on until then. After a kill, a subset of the
   * bases.
   */
  #shown: Demand;
  #batches: ModelBatch[] = [];
  #cached: Demand | undefined;

  constructor() {
    const empty: State = new Map();
    this.#bases = new Map([[digestOf(empty), empty]]);
    this.#shown = this.#bases;
  }

  begin(changes: readonly Change[], durability: BatchDurability): ModelBatch {
    const batch: ModelBatch = { changes, durability, fate: 'pending' };
    this.#batches.push(batch);
    this.#cached = undefined;
    return batch;
  }

  /** I3 and I10: in order, and no batch after one whose fate is unknown. */
  acknowledge(batch: ModelBatch): void {
    const index = this.#batches.indexOf(batch);
    const before = this.#batches.slice(0, index);
    if (before.some(({ fate }) => fate === 'pending')) {
      throw new Violation('I3', 'a batch was acknowledged before one that was handed in earlier');
    }
    if (before.some(({ fate }) => fate === 'unknown')) {
      throw new Violation('I10', 'a batch was acknowledged after one whose fate is unknown');
    }
    batch.fate = 'deferred';
    if (batch.durability === 'sync') this.synced(index + 1);
    this.#cached = undefined;
  }

  /** Number of batches inserted since the last open. */
  get count(): number {
    return this.#batches.length;
  }

  /** Number of batches acknowledged since the last open. */
  get acknowledged(): number {
    return this.#batches.filter(({ fate }) => fate === 'acked' || fate === 'deferred').length;
  }

  /** A close without an error makes all acknowledged batches durable. */
  closed(): void {
    for (const batch of this.#batches) if (batch.fate === 'deferred') batch.fate = 'acked';
    this.#cached = undefined;
  }

  /** The first `count` batches are durable, except rejected ones. */
  synced(count: number): void {
    const before = this.#batches.slice(0, count);
    if (before.some(({ fate }) => fate === 'pending')) {
      throw new Violation('I3', 'a sync ended before a batch that was handed in earlier');
    }
    if (before.some(({ fate }) => fate === 'unknown')) {
      throw new Violation('I10', 'a sync succeeded after a batch whose fate is unknown');
    }
    for (const batch of before) if (batch.fate === 'deferred') batch.fate = 'acked';
    this.#cached = undefined;
  }

  reject(batch: ModelBatch, outcome: 'not-applied' | 'unknown'): void {
    batch.fate = outcome;
    this.#cached = undefined;
  }

  get hasPending(): boolean {
    return this.#batches.some(({ fate }) => fate === 'pending');
  }

  /**
   * I1 to I4: the states that a crash now may leave: all durable batches, then a prefix of the
   * rest.
   */
  demand(): Demand {
    this.#cached ??= byDigest(this.#prefixes((fate) => fate !== 'acked').states);
    return this.#cached;
  }

  /**
   * The states that a crash may leave while readers see `visible`. A kill loses none of it. A power
   * failure loses nothing up to the last batch that must be durable when visible. Throws if readers
   * see an illegal state.
   */
  demandOf(visible: State, failureKind: FailureKind): Demand {
    const digest = digestOf(visible);
    const shown = byDigest(this.#prefixes((fate) => fate === 'pending').states);
    if (!shown.has(digest)) {
      throw new Violation(
        'I10',
        `readers see ${describeState(visible)}, but may see ${tell(shown)}`,
      );
    }
    const lost = (fate: Fate) =>
      fate !== 'acked' && (failureKind === 'power' || fate !== 'deferred');
    const { states, optional } = this.#prefixes(lost);
    const seen = states.findIndex((state) => digestOf(state) === digest);
    const isSure = ({ durability }: ModelBatch) => failureKind === 'kill' || durability === 'sync';
    const from = optional.slice(0, Math.max(0, seen)).findLastIndex(isSure) + 1;
    return byDigest(states.slice(from));
  }

  /**
   * The states after each prefix of the batches, in order; batches for which `isOptional` is true
   * may be missing. Also the batch that each state after the first adds.
   */
  #prefixes(isOptional: (fate: Fate) => boolean): { states: State[]; optional: ModelBatch[] } {
    const states: State[] = [];
    const written = this.#batches.filter(({ fate }) => fate !== 'not-applied');
    const isKept = (fate: Fate) => fate === 'acked' || fate === 'deferred' || isOptional(fate);
    const kept = written.filter(({ fate }) => isKept(fate));
    const certain = kept.findLastIndex(({ fate }) => !isOptional(fate)) + 1;
    for (const base of this.#bases.values()) {
      let state = base;
      kept.forEach(({ changes }, index) => {
        if (index >= certain) states.push(state);
        state = applyChanges(state, changes);
      });
      states.push(state);
    }
    return { states, optional: kept.slice(certain) };
  }

  /**
   * The store was closed, or the machine stopped. The next open may show any state of `shown`, and
   * any of `demand` if the power fails during the open.
   */
  shut(demand: Demand = this.demand(), shown: Demand = demand): void {
    this.#bases = demand;
    this.#shown = shown;
    this.#batches = [];
    this.#cached = undefined;
  }

  /** The store was opened and shows `found`. */
  collapse(found: State): void {
    const digest = digestOf(found);
    if (!this.#shown.has(digest)) {
      throw new Violation(
        'I1',
        `open shows ${describeState(found)}, but must show ${tell(this.#shown)}`,
      );
    }
    this.shut(new Map([[digest, found]]));
  }
}

function byDigest(states: readonly State[]): Demand {
  return new Map(states.map((state) => [digestOf(state), state]));
}

/** The states of a demand as text. */
export function tell(demand: Demand): string {
  const states = [...demand.values()].map(describeState);
  return states.length === 1 ? states[0]! : `one of ${states.join(' or ')}`;
}
