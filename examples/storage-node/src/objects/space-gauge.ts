import { NoSpaceError } from '../node-errors.ts';
import type { ReserveFile } from '../volumes/reserve-file.ts';

export interface SpaceWatch {
  /** A body of so many bytes was refused. */
  refused(space: SpaceGauge, bytes: number): void;
  /** The free space was measured. */
  looked(space: SpaceGauge): void;
}

export interface SpaceGaugeOptions {
  readonly freeBytes: () => Promise<number>;
  /** Bytes written to volumes since the node was opened. */
  readonly writtenBytes: () => number;
  /** Bodies are refused before less than this is free: deletes, folds and merges need it. */
  readonly reserveBytes: number;
  readonly reserveFile: ReserveFile;
  readonly watch?: SpaceWatch;
  /** The reserve file cannot be removed or created. Others go on without that. */
  readonly onError: (error: unknown) => void;
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
    this.#options.watch?.looked(this);
    return this.freeBytes;
  }

  /** Removes the reserve file if less than this is free, and as much is free then. */
  async makeRoom(bytes: number): Promise<void> {
    const { reserveFile, onError } = this.#options;
    const freeBytes = await this.look();
    if (freeBytes >= bytes || freeBytes + reserveFile.lengthBytes < bytes) return;
    await reserveFile.giveUp().catch(onError);
    await this.look();
  }

  /** Creates the reserve file if there is space again. */
  async refill(): Promise<void> {
    const { reserveFile, onError } = this.#options;
    if (reserveFile.isWhole) return;
    await reserveFile.make(await this.look()).catch(onError);
    await this.look();
  }

  /** True if this many more bytes leave the reserve. */
  hasRoom(bytes: number): boolean {
    const { reserveBytes, reserveFile } = this.#options;
    return reserveFile.isWhole && this.roomBytes - bytes >= reserveBytes;
  }

  /** @throws NoSpaceError if this many more bytes would leave less than the reserve */
  check(bytes: number): void {
    if (this.hasRoom(bytes)) return;
    const { reserveBytes, reserveFile, watch } = this.#options;
    this.refused++;
    watch?.refused(this, bytes);
    // Without the reserve file, all free space is for deletes.
    const roomBytes = reserveFile.isWhole ? this.roomBytes - reserveBytes : 0;
    throw new NoSpaceError(bytes, Math.max(0, roomBytes));
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
