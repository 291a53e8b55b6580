import { onAbort } from '../../base/abort.ts';
import type { CampaignOptions, Elector, Leadership } from '../log/elector.ts';
import type { ReplicaClock } from '../node/replica-clock.ts';
import type { Signal } from '../node/signal.ts';

export interface YieldingElectorParts {
  readonly elector: Elector;
  readonly clock: ReplicaClock;
  /** The other node that the map wants as the primary; undefined if none. */
  readonly wanted: () => string | undefined;
  /** Milliseconds between looks at the map. */
  readonly pollMs: number;
  /** Resolved when the program has the sharded store. Before, a primary could not serve. */
  readonly begun: Signal;
}

/** A wanted node that has not taken over after this many looks is not waited for any longer. */
const PATIENCE_POLLS = 5;

/**
 * Elections of one shard. While the map wants another node as the primary, this node takes no part
 * and resigns. Otherwise the election could undo the move of a shard.
 */
export class YieldingElector implements Elector {
  readonly #parts: YieldingElectorParts;
  #isElected = false;
  #yieldedTo: string | undefined;
  #polls = 0;

  constructor(parts: YieldingElectorParts) {
    this.#parts = parts;
  }

  get isElected(): boolean {
    return this.#isElected;
  }

  async campaign(id: string, { signal }: CampaignOptions): Promise<Leadership> {
    const { elector, begun } = this.#parts;
    await begun.wait(signal);
    for (;;) {
      while (this.#mustYield()) await this.#poll(signal);
      const term = new AbortController();
      const remove = onAbort(signal, () => {
        this.#yieldAnew();
        term.abort(signal.reason);
      });
      if (signal.aborted) term.abort(signal.reason);
      const yielding = this.#untilYielding(term);
      try {
        const { lost } = await elector.campaign(id, { signal: term.signal });
        this.#isElected = true;
        return { lost: this.#hold(Promise.race([lost, yielding]), term, remove) };
      } catch (error) {
        remove();
        const hasYielded = term.signal.aborted && !signal.aborted;
        term.abort();
        if (!hasYielded) throw error;
      }
    }
  }

  /** Resolves when the election is lost or was given up. */
  async #hold(over: Promise<void>, term: AbortController, remove: () => void): Promise<void> {
    await over;
    this.#isElected = false;
    this.#yieldAnew();
    remove();
    term.abort();
  }

  async #untilYielding(term: AbortController): Promise<void> {
    while (!term.signal.aborted && !this.#mustYield()) {
      await this.#poll(term.signal).catch(() => undefined);
    }
    term.abort();
  }

  /** At the end of a term: if the wanted node has taken over, this node must not undo that. */
  #yieldAnew(): void {
    this.#polls = 0;
  }

  #mustYield(): boolean {
    const wanted = this.#parts.wanted();
    if (wanted !== this.#yieldedTo) {
      this.#yieldedTo = wanted;
      this.#polls = 0;
    }
    return wanted !== undefined && this.#polls < PATIENCE_POLLS;
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { clock, pollMs } = this.#parts;
    await clock.sleep(pollMs, signal);
    this.#polls++;
  }
}
