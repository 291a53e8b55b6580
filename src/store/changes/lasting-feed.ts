import { present } from '../../base/assert.ts';
import type { Change } from './change.ts';
import type { ChangesOptions } from './feed-set.ts';

type Feed = AsyncIterableIterator<Change> & AsyncDisposable;

/** The part of a store that a feed needs. */
export interface ChangingStore {
  stats(): { readonly lastSequence: bigint };
  changes(options: ChangesOptions): Feed;
}

/**
 * A feed of the changes of stores that replace one another, with the same sequence numbers: when
 * one is closed, it continues in the next. If that one lacks batches that the feed has not reached,
 * the feed fails with `PositionExpiredError`.
 */
export class LastingFeed implements AsyncIterableIterator<Change>, AsyncDisposable {
  readonly #options: ChangesOptions;
  readonly #store: () => ChangingStore | undefined;
  #feed: Feed;
  /** Of the last batch that was yielded. */
  #sequence: bigint;
  #isEnded = false;

  /** `store` returns the current store; undefined if there will be none. */
  constructor(options: ChangesOptions, store: () => ChangingStore | undefined) {
    this.#options = options;
    this.#store = store;
    const current = present(store(), 'a feed begins in an open store');
    const { lastSequence } = current.stats();
    this.#feed = current.changes(options);
    this.#sequence = BigInt(options.after ?? lastSequence);
  }

  async next(): Promise<IteratorResult<Change, undefined>> {
    try {
      for (;;) {
        const feed = this.#feed;
        const result = await feed.next();
        if (result.done !== true) {
          this.#sequence = result.value.sequence;
          return result;
        }
        // Another call may have seen the end, too.
        if (feed === this.#feed && !this.#reopen()) return { done: true, value: undefined };
      }
    } catch (error) {
      this.#isEnded = true;
      throw error;
    }
  }

  /** False if there is no other store, or the iteration was ended. */
  #reopen(): boolean {
    const store = this.#isEnded ? undefined : this.#store();
    if (store === undefined) return false;
    this.#feed = store.changes({ ...this.#options, after: this.#sequence });
    return true;
  }

  async return(): Promise<IteratorResult<Change, undefined>> {
    this.#isEnded = true;
    await this.#feed.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
