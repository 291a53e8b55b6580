import { NoSpaceError } from '../node-errors.ts';
import type { ReserveFile } from '../volumes/reserve-file.ts';

export interface SpaceGaugeOptions {
  readonly freeBytes: () => Promise<number>;
  /** Bytes written to volumes since the node was opened. */
  readonly writtenBytes: () => number;
  /** Bodies are refused before less than this is free: deletes, folds and merges need it. */
  readonly reserveBytes: number;
  readonly reserveFile: ReserveFile;
}

/**
 * The space on the disk: what was free at the last check, what was written to volumes since then,
 * and what is acknowledged and not written yet.
 */
export class SpaceGauge {
  readonly #options: SpaceGaugeOptions;
  /** Free on the disk at the last check. */
  freeBytes = Infinity;
  #writtenAtLook = 0;
  #promisedBytes = 0;
  refused = 0;

  constructor(options: SpaceGaugeOptions) {
    this.#options = options;
  }

  get reserveBytes(): number {
    return this.#options.reserveBytes;
  }

  /** Acknowledged, and not written yet. */
  get promisedBytes(): number {
    return this.#promisedBytes;
  }

  /**
   * Free bytes of which nothing is promised. Space that was freed since the last check is not
   * counted.
   */
  get roomBytes(): number {
    const writtenBytes = this.#options.writtenBytes() - this.#writtenAtLook;
    return this.freeBytes - writtenBytes - this.#promisedBytes;
  }

  /** True if there is less room than the reserve, or the reserve file was released. */
  get isScarce(): boolean {
    const { reserveBytes, reserveFile } = this.#options;
    return this.roomBytes < reserveBytes || !reserveFile.isWhole;
  }

  async look(): Promise<number> {
    // What is written meanwhile may be counted twice, but is not missed.
    const writtenBytes = this.#options.writtenBytes();
    this.freeBytes = await this.#options.freeBytes();
    this.#writtenAtLook = writtenBytes;
    return this.freeBytes;
  }

  /** Removes the reserve file if less than this is free, and as much is free then. */
  async makeRoom(bytes: number): Promise<void> {
    const { reserveFile } = this.#options;
    const freeBytes = await this.look();
    if (freeBytes >= bytes || freeBytes + reserveFile.lengthBytes < bytes) return;
    if (await reserveFile.giveUp()) await this.look();
  }

  /** Creates the reserve file if there is space again. */
  async refill(): Promise<void> {
    const { reserveFile } = this.#options;
    if (reserveFile.isWhole) return;
    await reserveFile.make(await this.look());
    await this.look();
  }

  /** @throws NoSpaceError if this many more bytes would leave less than the reserve */
  check(bytes: number): void {
    const { reserveBytes, reserveFile } = this.#options;
    const { roomBytes } = this;
    if (reserveFile.isWhole && roomBytes - bytes >= reserveBytes) return;
    this.refused++;
    throw new NoSpaceError(bytes, Math.max(0, roomBytes - reserveBytes));
  }

  /**
   * Keeps space for bytes that will be acknowledged before they are written. `freedBytes`: promised
   * bytes that they replace.
   *
   * @throws NoSpaceError
   */
  promise(bytes: number, freedBytes: number): void {
    this.check(Math.max(0, bytes - freedBytes));
    this.#promisedBytes += bytes;
  }

  /** They were written, or replaced. */
  settle(bytes: number): void {
    this.#promisedBytes -= bytes;
  }
}
