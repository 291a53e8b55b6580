import { HEADER_BYTES, type VolumeKind } from './volume-header.ts';

/**
 * - `creating`: its number is taken, its file may be missing.
 * - `active`: a writer appends to it.
 * - `sealed`: it does not change any more; compaction may empty it.
 * - `retired`: it has no live data; its file is removed once nobody reads it.
 */
export type VolumeStage = 'creating' | 'active' | 'sealed' | 'retired';

/** The state of a volume in lodestore. */
export interface VolumeFacts {
  readonly number: number;
  readonly kind: VolumeKind;
  readonly bucketId: number;
  readonly createdMs: number;
  readonly state: VolumeStage;
  /** Bytes of referenced records, counted as whole records. */
  readonly liveBytes: number;
  /** The end of the last group with a published record. */
  readonly endBytes: number;
  /** The time at which its newest object was stored. */
  readonly newestMs: number;
  /** Bytes of marks, which only a rebuild of the metadata reads. */
  readonly markBytes: number;
}

/** A volume at run time. */
export class Volume {
  readonly number: number;
  readonly kind: VolumeKind;
  readonly bucketId: number;
  readonly createdMs: number;
  state: VolumeStage;
  liveBytes: number;
  endBytes: number;
  newestMs: number;
  markBytes: number;
  /** The end of the written and synced bytes: `endBytes`, and groups not published yet. */
  writtenBytes: number;
  /** Number of written records that are neither published nor abandoned. */
  pending = 0;
  /** Why compaction skips it. */
  damage: string | undefined;
  /** Bytes that were freed by holes. */
  punchedBytes = 0;
  #pins = 0;
  #onIdle: (() => void)[] = [];

  constructor(facts: VolumeFacts) {
    this.number = facts.number;
    this.kind = facts.kind;
    this.bucketId = facts.bucketId;
    this.createdMs = facts.createdMs;
    this.state = facts.state;
    this.liveBytes = facts.liveBytes;
    this.endBytes = facts.endBytes;
    this.newestMs = facts.newestMs;
    this.markBytes = facts.markBytes;
    this.writtenBytes = Math.max(facts.endBytes, HEADER_BYTES);
  }

  get pins(): number {
    return this.#pins;
  }

  /** Unreferenced bytes: overwritten, deleted, padding. */
  get deadBytes(): number {
    return Math.max(0, this.writtenBytes - HEADER_BYTES - this.liveBytes - this.markBytes);
  }

  /** Its file stays until `unpin`. */
  pin(): void {
    this.#pins++;
  }

  unpin(): void {
    this.#pins--;
    if (this.#pins > 0) return;
    const waiting = this.#onIdle;
    this.#onIdle = [];
    for (const resume of waiting) resume();
  }

  /** Resolves when there is no pin. */
  idle(): Promise<void> {
    if (this.#pins === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }
}
