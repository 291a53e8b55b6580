import { applyChanges, describeState, digestOf, type Change, type State } from './state.ts';
import { Violation } from './violation.ts';

/** What became of a batch that was handed in. */
export type Fate = 'pending' | 'acked' | 'not-applied' | 'unknown';

export interface ModelBatch {
  readonly changes: readonly Change[];
  fate: Fate;
}

/** States that a crash at one moment may leave, by digest. */
export type Demand = ReadonlyMap<number, State>;

/**
 * What was promised. Between two opens: one base, and the batches handed in since, in order. While the
 * store is shut: the states that the next open may show.
 */
export class Model {
  #bases: Demand;
  #batches: ModelBatch[] = [];
  #cached: Demand | undefined;

  constructor() {
    const empty: State = new Map();
    this.#bases = new Map([[digestOf(empty), empty]]);
  }

  begin(changes: readonly Change[]): ModelBatch {
    const batch: ModelBatch = { changes, fate: 'pending' };
    this.#batches.push(batch);
    this.#cached = undefined;
    return batch;
  }

  /** I3 and I10: in order, and nothing after a batch whose fate is unknown. */
  acknowledge(batch: ModelBatch): void {
    const index = this.#batches.indexOf(batch);
    const before = this.#batches.slice(0, index);
    if (before.some(({ fate }) => fate === 'pending')) {
      throw new Violation('I3', 'a batch was acknowledged before one that was handed in earlier');
    }
    if (before.some(({ fate }) => fate === 'unknown')) {
      throw new Violation('I10', 'a batch was acknowledged after one whose fate is unknown');
    }
    batch.fate = 'acked';
    this.#cached = undefined;
  }

  reject(batch: ModelBatch, outcome: 'not-applied' | 'unknown'): void {
    batch.fate = outcome;
    this.#cached = undefined;
  }

  get hasPending(): boolean {
    return this.#batches.some(({ fate }) => fate === 'pending');
  }

  /** I1 to I4: the states that a crash now may leave: all acknowledged batches, then a prefix of the rest. */
  demand(): Demand {
    this.#cached ??= byDigest(this.#prefixes((fate) => fate !== 'acked'));
    return this.#cached;
  }

  /**
   * What a crash may leave when `visible` is what readers see: nothing may be seen that is not durable.
   * Throws when readers see what they must not.
   */
  demandOf(visible: State): Demand {
    const digest = digestOf(visible);
    const shown = byDigest(this.#prefixes((fate) => fate === 'pending'));
    if (!shown.has(digest)) {
      throw new Violation(
        'I10',
        `readers see ${describeState(visible)}, but may see ${tell(shown)}`,
      );
    }
    const all = this.#prefixes((fate) => fate !== 'acked');
    const from = all.findIndex((state) => digestOf(state) === digest);
    return from <= 0 ? this.demand() : byDigest(all.slice(from));
  }

  /** The states after each prefix of the batches, in order; those that `isOptional` may be missing. */
  #prefixes(isOptional: (fate: Fate) => boolean): State[] {
    const states: State[] = [];
    const written = this.#batches.filter(({ fate }) => fate !== 'not-applied');
    const kept = written.filter(({ fate }) => fate === 'acked' || isOptional(fate));
    const certain = kept.findLastIndex(({ fate }) => !isOptional(fate)) + 1;
    for (const base of this.#bases.values()) {
      let state = base;
      kept.forEach(({ changes }, index) => {
        if (index >= certain) states.push(state);
        state = applyChanges(state, changes);
      });
      states.push(state);
    }
    return states;
  }

  /** The store was shut, or the machine crashed: the next open may show any of these. */
  shut(demand: Demand = this.demand()): void {
    this.#bases = demand;
    this.#batches = [];
    this.#cached = undefined;
  }

  /** The store was opened and shows `found`. */
  collapse(found: State): void {
    const digest = digestOf(found);
    if (!this.#bases.has(digest)) {
      throw new Violation(
        'I1',
        `open shows ${describeState(found)}, but must show ${tell(this.#bases)}`,
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
