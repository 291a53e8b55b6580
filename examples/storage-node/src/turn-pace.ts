/**
 * Resolves in a later turn of the event loop. A call that waits for no I/O needs it at its end:
 * callers that repeat such a call at once would otherwise keep timers and I/O from running, and
 * with them what frees space.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Settles as `call`. A refusal, which may have waited for nothing, takes a turn of the event loop.
 */
export async function refusedNextTurn<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    await nextTurn();
    throw error;
  }
}

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/**
 * Shares the turns of the event loop among all callers that compute on bytes: the computations of
 * one turn are on at most `turnBytes`, first come, first served. A longer piece takes one turn.
 */
export class TurnPace {
  readonly #turnBytes: number;
  readonly #waiting: Waiting[] = [];
  #takenBytes = 0;
  #isScheduled = false;

  constructor(turnBytes: number) {
    this.#turnBytes = turnBytes;
  }

  /** Undefined: at once. */
  take(bytes: number): Promise<void> | undefined {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      // The first one is of the same turn.
      setImmediate(this.#firstTurn);
    }
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#takenBytes += bytes;
      return undefined;
    }
    return new Promise((go) => this.#waiting.push({ bytes, go }));
  }

  #fits(bytes: number): boolean {
    return this.#takenBytes === 0 || this.#takenBytes + bytes <= this.#turnBytes;
  }

  readonly #firstTurn = (): void => {
    setImmediate(this.#nextTurn);
  };

  readonly #nextTurn = (): void => {
    this.#takenBytes = 0;
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || !this.#fits(next.bytes)) break;
      this.#waiting.shift();
      this.#takenBytes += next.bytes;
      next.go();
    }
    this.#isScheduled = this.#takenBytes > 0;
    if (this.#isScheduled) setImmediate(this.#nextTurn);
  };
}
