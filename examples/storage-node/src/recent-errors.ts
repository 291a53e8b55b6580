import type { NodeOptions } from './node-options.ts';

const MOST = 50;

type Events = Required<Pick<NodeOptions, 'onError' | 'onNotice'>>;

/** The last failures that no caller waited for, and the last notices. */
export class RecentErrors {
  readonly #now: () => number;
  readonly #list: { readonly atMs: number; readonly message: string }[] = [];
  count = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  add(error: Pick<Error, 'message'>): void {
    this.count++;
    this.#list.push({ atMs: this.#now(), message: error.message });
    if (this.#list.length > MOST) this.#list.shift();
  }

  /** The same events: what they tell is remembered, too. */
  events({ onError, onNotice }: Events): Events {
    return {
      onError: (error) => {
        this.add(error);
        onError(error);
      },
      onNotice: (message) => {
        this.add({ message });
        onNotice(message);
      },
    };
  }

  /** The newest is last. */
  all(): readonly { readonly atMs: number; readonly message: string }[] {
    return [...this.#list];
  }
}
