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

/** Keeps the file of a volume, and what it had when the pin was taken. */
export interface Pin {
  release(): void;
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
  /** Bytes of the file that were freed by holes. */
  freedBytes = 0;
  /** Dead bytes when holes were last punched: more need not be looked for before there are more. */
  punchedDeadBytes = 0;
  readonly #pins = new Map<Pin, (() => void)[]>();

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
    return this.#pins.size;
  }

  /** Unreferenced bytes: overwritten, deleted, padding. */
  get deadBytes(): number {
    return Math.max(0, this.writtenBytes - HEADER_BYTES - this.liveBytes - this.markBytes);
  }

  /** Its file, and the records that are referred to now, stay until the pin is released. */
  pin(): Pin {
    const pin: Pin = {
      release: () => {
        const waiting = this.#pins.get(pin) ?? [];
        this.#pins.delete(pin);
        for (const resume of waiting) resume();
      },
    };
    this.#pins.set(pin, []);
    return pin;
  }

  /**
   * Resolves to true when all pins that exist now, except for `own`, are released; to false when
   * `stop` is aborted first. Later pins do not matter: they are of records that are referred to
   * now.
   */
  async released(own?: Pin, stop?: AbortSignal): Promise<boolean> {
    const released = [...this.#pins]
      .filter(([pin]) => pin !== own)
      .map(([, waiting]) => new Promise<void>((resolve) => waiting.push(resolve)));
    if (released.length === 0) return true;
    const all = Promise.all(released).then(() => true);
    if (stop === undefined) return all;
    if (stop.aborted) return false;
    let onAbort = (): void => {};
    const aborted = new Promise<boolean>((resolve) => (onAbort = () => resolve(false)));
    stop.addEventListener('abort', onAbort);
    return Promise.race([all, aborted]).finally(() => stop.removeEventListener('abort', onAbort));
  }
}
