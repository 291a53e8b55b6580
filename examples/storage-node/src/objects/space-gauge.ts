import { NoSpaceError } from '../node-errors.ts';
import type { ReserveFile } from '../volumes/reserve-file.ts';

export interface SpaceGaugeOptions {
  readonly freeBytes: () => Promise<number>;
  /** Bodies are refused before less than this is free: deletes, folds and merges need it. */
  readonly reserveBytes: number;
  readonly reserveFile: ReserveFile;
}

/** The free space on the disk at the last check. */
export class SpaceGauge {
  readonly #options: SpaceGaugeOptions;
  freeBytes = Infinity;
  refused = 0;

  constructor(options: SpaceGaugeOptions) {
    this.#options = options;
  }

  get reserveBytes(): number {
    return this.#options.reserveBytes;
  }

  /** True if less than the reserve is free, or the reserve file was released. */
  get isScarce(): boolean {
    const { reserveBytes, reserveFile } = this.#options;
    return this.freeBytes < reserveBytes || !reserveFile.isWhole;
  }

  async look(): Promise<number> {
    this.freeBytes = await this.#options.freeBytes();
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

  /** @throws NoSpaceError */
  check(bytes: number): void {
    const { reserveBytes, reserveFile } = this.#options;
    if (reserveFile.isWhole && this.freeBytes - bytes >= reserveBytes) return;
    this.refused++;
    throw new NoSpaceError(bytes, Math.max(0, this.freeBytes - reserveBytes));
  }
}
