import { queueMicrotask } from '../base/timers.ts';
import type { StoreStats } from '../store/stats.ts';

/** A store's figures, read once for all metrics that one scrape reads synchronously. */
export class StoreFigures {
  readonly #store: { stats(): StoreStats };
  #stats: StoreStats | undefined;

  constructor(store: { stats(): StoreStats }) {
    this.#store = store;
  }

  get stats(): StoreStats {
    if (this.#stats === undefined) {
      this.#stats = this.#store.stats();
      queueMicrotask(() => {
        this.#stats = undefined;
      });
    }
    return this.#stats;
  }
}
