/**
 * A disk that refused a write counts as full until a query finds this much free, or cannot say how
 * much is free.
 */
const LEAST_FREE_BYTES: number = 512 * 1024;

/** The free space of the disk, as of the last query. */
export class DiskSpace {
  readonly #query: () => Promise<number>;
  #freeBytes: number | undefined;
  #isFull = false;
  /** Counts refused puts: a query that began before one says nothing about the space after it. */
  #refusals = 0;

  constructor(query: () => Promise<number>) {
    this.#query = query;
  }

  /** Undefined before the first query, and if the system does not say. */
  get freeBytes(): number | undefined {
    return this.#freeBytes;
  }

  /** Whether the disk had no space for a put. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Whether less than `neededBytes` may be free. */
  isScarce(neededBytes: number): boolean {
    return this.#isFull || (this.#freeBytes ?? Infinity) < neededBytes;
  }

  /** Queries the free space. Never rejects. */
  async look(): Promise<void> {
    const refusals = this.#refusals;
    await this.#measure();
    if (refusals !== this.#refusals) return;
    if ((this.#freeBytes ?? Infinity) >= LEAST_FREE_BYTES) this.#isFull = false;
  }

  /** A put found no space. Queries the free space; the disk is full whatever that says. */
  refused(): void {
    this.#isFull = true;
    this.#refusals++;
    void this.#measure();
  }

  async #measure(): Promise<void> {
    this.#freeBytes = await this.#query().catch(() => undefined);
  }
}
