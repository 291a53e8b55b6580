import { QUOTA_BYTES, type Report } from './soak-report.ts';

/**
 * The oldest volume, an eighth of the quota, is dropped when there is more than the quota. Another
 * eighth is for what the bound on a call leaves out, such as the headers of volumes.
 */
const KEPT_BYTES = (QUOTA_BYTES * 3) / 4;

/** A bound on what a call writes: records, their padding to 4 KiB, and a mark if it is refused. */
function mostBytes(sizeBytes: number): number {
  return 12 * 1024 + 1.05 * sizeBytes;
}

/** Tells which objects of the bucket with a quota are so new that they must not be evicted. */
export class QuotaLedger {
  /** Of all calls that have begun. */
  #begunBytes = 0;
  /** Of those of them that have ended. */
  #endedBytes = 0;
  readonly #underWay = new Map<string, { readonly fromBytes: number; readonly bytes: number }>();
  /** `#endedBytes` when the last acknowledged call of a name began. */
  readonly #fromBytes = new Map<string, number>();

  take({ type, name, sizeBytes = 0 }: Report): void {
    if (type === 'begin') {
      const bytes = mostBytes(sizeBytes);
      this.#underWay.set(name!, { fromBytes: this.#endedBytes, bytes });
      this.#begunBytes += bytes;
      return;
    }
    const { fromBytes, bytes } = this.#underWay.get(name!)!;
    this.#underWay.delete(name!);
    this.#endedBytes += bytes;
    if (type === 'done') this.#fromBytes.set(name!, fromBytes);
  }

  /** False if so much was written since the call began that its volume may be dropped. */
  isKept(name: string): boolean {
    return this.#begunBytes - (this.#fromBytes.get(name) ?? -Infinity) <= KEPT_BYTES;
  }

  /** The name has the contents of a call that was not acknowledged: it is not known which. */
  forget(name: string): void {
    this.#fromBytes.delete(name);
  }

  /** The node was killed or closed: nothing is under way. */
  endRound(): void {
    this.#underWay.clear();
    this.#endedBytes = this.#begunBytes;
  }
}
