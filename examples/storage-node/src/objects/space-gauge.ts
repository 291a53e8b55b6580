import { NoSpaceError } from '../node-errors.ts';

export interface SpaceGaugeOptions {
  readonly freeBytes: () => Promise<number>;
  /** Bodies are refused before less than this is free: deletes, folds and merges need it. */
  readonly reserveBytes: number;
}

/** What is free on the disk, as of the last look. */
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

  async look(): Promise<number> {
    this.freeBytes = await this.#options.freeBytes();
    return this.freeBytes;
  }

  /** @throws NoSpaceError */
  check(bytes: number): void {
    const { reserveBytes } = this.#options;
    if (this.freeBytes - bytes >= reserveBytes) return;
    this.refused++;
    throw new NoSpaceError(bytes, Math.max(0, this.freeBytes - reserveBytes));
  }
}
