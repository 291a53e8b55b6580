import type { S3Limits } from './base/limits.ts';

/** A transfer, as far as its pace is judged. */
export interface PacedTransfer {
  /** Milliseconds in which the node waited for the client. */
  waitedMs(): number;
  /** In both directions. */
  movedBytes(): number;
  cut(): void;
}

/**
 * Cuts off clients that hold a request open and hardly move: each has an allowance of waiting, and
 * earns more with every byte. Time that the node itself takes never counts.
 */
export class PaceKeeper {
  readonly #limits: S3Limits;
  readonly #transfers = new Set<PacedTransfer>();

  constructor(limits: S3Limits) {
    this.#limits = limits;
  }

  add(transfer: PacedTransfer): void {
    this.#transfers.add(transfer);
  }

  remove(transfer: PacedTransfer): void {
    this.#transfers.delete(transfer);
  }

  /** To be called every few seconds. */
  check(): void {
    const { slowAllowanceMs, minBytesPerSecond } = this.#limits;
    for (const transfer of this.#transfers) {
      const earnedMs = (transfer.movedBytes() / minBytesPerSecond) * 1000;
      if (transfer.waitedMs() <= slowAllowanceMs + earnedMs) continue;
      this.#transfers.delete(transfer);
      transfer.cut();
    }
  }
}
