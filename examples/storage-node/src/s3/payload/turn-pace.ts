/**
 * Bytes that are digested in one turn of the event loop, counted once per slow digest. A turn may
 * read megabytes from several sockets, and MD5 takes a millisecond per 300 to 600 KiB.
 */
const TURN_BYTES = 256 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/**
 * Shares the turns of the event loop among all bodies that are digested, first come, first served.
 */
export class TurnPace {
  readonly #waiting: Waiting[] = [];
  #takenBytes = 0;
  #isScheduled = false;

  /** Undefined: at once. A piece longer than a turn takes one turn. */
  take(bytes: number): Promise<void> | undefined {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      // The first one is of the same turn.
      setImmediate(this.#firstTurn);
    }
    if (this.#takenBytes < TURN_BYTES) {
      this.#takenBytes += bytes;
      return undefined;
    }
    return new Promise((go) => this.#waiting.push({ bytes, go }));
  }

  readonly #firstTurn = (): void => {
    setImmediate(this.#nextTurn);
  };

  readonly #nextTurn = (): void => {
    this.#takenBytes = 0;
    while (this.#takenBytes < TURN_BYTES) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#takenBytes += next.bytes;
      next.go();
    }
    this.#isScheduled = this.#takenBytes > 0;
    if (this.#isScheduled) setImmediate(this.#nextTurn);
  };
}

/** One per process, because it has one event loop. */
export const turnPace: TurnPace = new TurnPace();
