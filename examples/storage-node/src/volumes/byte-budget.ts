import { BusyError } from '../node-errors.ts';

interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

/** A body that may hold bytes while its client sends nothing. */
export interface IdleHolder {
  /** Others wait: it should write what it holds, and give the bytes back. Must not throw. */
  giveWay(): void;
}

export interface ByteBudgetOptions {
  readonly limitBytes: number;
  /** Additional waiters are refused at once. */
  readonly maxWaiting: number;
  /** A waiter is refused after this time. */
  readonly maxWaitMs: number;
}

/**
 * Limits the memory of bodies until they are written. Callers wait in line; if the line is long,
 * they are refused. A body that has bytes must write them to the disk before it waits for more, and
 * one that waits for its client instead is asked to do so while others wait. So somebody always
 * makes progress, and clients that send nothing keep nobody out.
 */
export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  readonly #line: Waiter[] = [];
  readonly #idle = new Set<IdleHolder>();
  usedBytes = 0;
  refused = 0;

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#line.length;
  }

  /** False if it would have to wait. */
  tryTake(bytes: number): boolean {
    if (this.#line.length > 0) return false;
    if (this.usedBytes > 0 && this.usedBytes + bytes > this.#options.limitBytes) return false;
    this.usedBytes += bytes;
    return true;
  }

  /** Exceeds the limit, for the few bytes that a body needs to fill an extent. */
  force(bytes: number): void {
    this.usedBytes += bytes;
  }

  /**
   * Waits in the queue. `mayRefuse`: for a request of which nothing was read yet.
   *
   * @throws BusyError
   */
  take(bytes: number, mayRefuse: boolean): Promise<void> {
    if (this.tryTake(bytes)) return Promise.resolve();
    if (mayRefuse && this.#line.length >= this.#options.maxWaiting) {
      this.refused++;
      return Promise.reject(new BusyError(1_000));
    }
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const waiter: Waiter = {
        bytes,
        grant: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      this.#line.push(waiter);
      for (const holder of this.#idle) holder.giveWay();
      if (!mayRefuse) return;
      timer = setTimeout(() => {
        this.#line.splice(this.#line.indexOf(waiter), 1);
        this.refused++;
        reject(new BusyError(1_000));
        this.#grantNext();
      }, this.#options.maxWaitMs);
      timer.unref();
    });
  }

  /** The holder waits for its client until `resume`. It is asked to give way meanwhile. */
  idle(holder: IdleHolder): void {
    this.#idle.add(holder);
    if (this.#line.length > 0) holder.giveWay();
  }

  resume(holder: IdleHolder): void {
    this.#idle.delete(holder);
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
    this.#grantNext();
  }

  #grantNext(): void {
    for (;;) {
      const next = this.#line[0];
      if (next === undefined) return;
      if (this.usedBytes > 0 && this.usedBytes + next.bytes > this.#options.limitBytes) return;
      this.#line.shift();
      this.usedBytes += next.bytes;
      next.grant();
    }
  }
}
