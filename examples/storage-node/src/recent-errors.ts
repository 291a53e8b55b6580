const MOST = 50;

/** The last failures that no caller waited for. */
export class RecentErrors {
  readonly #now: () => number;
  readonly #list: { readonly atMs: number; readonly message: string }[] = [];
  count = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  add(error: Error): void {
    this.count++;
    this.#list.push({ atMs: this.#now(), message: error.message });
    if (this.#list.length > MOST) this.#list.shift();
  }

  /** The newest is last. */
  all(): readonly { readonly atMs: number; readonly message: string }[] {
    return [...this.#list];
  }
}
