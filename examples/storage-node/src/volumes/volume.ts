import { HEADER_BYTES, type VolumeKind } from './volume-header.ts';

/**
 * - `creating`: its number is taken, its file may be missing.
 * - `active`: a writer appends to it.
 * - `sealed`: it changes no more; compaction may empty it.
 * - `retired`: nothing lives in it; its file is removed when nobody reads it.
 */
export type VolumeStage = 'creating' | 'active' | 'sealed' | 'retired';

/** What lodestore knows of a volume. */
export interface VolumeFacts {
  readonly number: number;
  readonly kind: VolumeKind;
  readonly bucketId: number;
  readonly createdMs: number;
  readonly state: VolumeStage;
  /** Bytes of records that something refers to, in whole records. */
  readonly liveBytes: number;
  /** The end of the last group of which something was published. */
  readonly endBytes: number;
  /** When the newest object in it was stored. */
  readonly newestMs: number;
  /** Bytes of marks: what only a rebuild of the metadata reads. */
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
  /** The end of what was written and synced: `endBytes`, and groups not published yet. */
  writtenBytes: number;
  /** Records that are written, and neither published nor given up. */
  pending = 0;
  /** Why compaction leaves it alone. */
  damage: string | undefined;
  /** Space that was given back within it. */
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

  /** Bytes that nothing refers to: overwritten, deleted, padding. */
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

  /** Resolves when nobody holds a pin. */
  idle(): Promise<void> {
    if (this.#pins === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }
}
