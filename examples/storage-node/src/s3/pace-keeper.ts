import type { S3Limits } from './base/limits.ts';

/** A transfer whose pace is checked. */
export interface PacedTransfer {
  /** Milliseconds in which the node waited for the client. */
  waitedMs(): number;
  /** In both directions. */
  movedBytes(): number;
  cut(): void;
}

/**
 * Disconnects clients that hold a request open with almost no progress. Each has an allowance of
 * waiting time and earns more with every byte. Time that the node itself takes never counts.
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

  /** Must be called every few seconds. */
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
