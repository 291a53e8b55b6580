import type { CallScheduler } from '../../../src/testing/index.ts';

interface Hold {
  readonly calls: RegExp;
  readonly opened: Promise<void>;
  readonly open: () => void;
}

/** Lets calls of the disk wait until they are released. */
export class Gate implements CallScheduler {
  readonly #holds = new Set<Hold>();
  /** Number of calls that wait. */
  waiting = 0;

  async turn(label: string): Promise<void> {
    // Only what was held when the call started.
    const holds = [...this.#holds];
    for (const { calls, opened } of holds) {
      if (!calls.test(label)) continue;
      this.waiting++;
      await opened;
      this.waiting--;
    }
  }

  /** Calls whose label matches wait until the returned function is called. */
  hold(calls: RegExp): () => void {
    let resolve = (): void => {};
    const opened = new Promise<void>((resolved) => (resolve = resolved));
    const open = (): void => {
      this.#holds.delete(held);
      resolve();
    };
    const held: Hold = { calls, opened, open };
    this.#holds.add(held);
    return open;
  }

  /** Releases everything, so that a node can be closed. */
  openAll(): void {
    for (const { open } of this.#holds) open();
  }
}
