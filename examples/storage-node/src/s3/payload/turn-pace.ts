/**
 * Bytes that are digested in one turn of the event loop. A turn may read megabytes of several
 * sockets, and MD5 takes a millisecond for each 300 to 600 KiB.
 */
const TURN_BYTES = 256 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/** Shares the turns of the event loop between all bodies that are digested, first come first. */
export class TurnPace {
  readonly #waiting: Waiting[] = [];
  #takenBytes = 0;
  #isScheduled = false;

  /** Undefined: at once. A piece of more than a turn takes one turn. */
  take(bytes: number): Promise<void> | undefined {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.#nextTurn);
    }
    if (this.#takenBytes < TURN_BYTES) {
      this.#takenBytes += bytes;
      return undefined;
    }
    return new Promise((go) => this.#waiting.push({ bytes, go }));
  }

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

/** Of this process: it has one event loop. */
export const turnPace: TurnPace = new TurnPace();
