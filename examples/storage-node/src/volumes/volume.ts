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
  /** Dead bytes when holes were last punched; by default 0. */
  readonly punchedDeadBytes?: number;
}

/** Bytes of a file. */
export interface Span {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/** Keeps the file of a volume, and what it had when the pin was taken. */
export interface Pin {
  release(): void;
}

export interface ReleaseOptions {
  /** It is not waited for. */
  readonly own?: Pin;
  /** Those that do not need the whole volume are not waited for. */
  readonly ofWhole?: boolean;
  readonly stop?: AbortSignal;
  readonly mostMs?: number;
}

/** A volume at run time. */
export class Volume {
  readonly number: number;
  readonly kind: VolumeKind;
  readonly bucketId: number;
  readonly createdMs: number;
  /** The volume whose copies it has, by which it is as old as that one; or its own number. */
  age: number;
  state: VolumeStage;
  liveBytes: number;
  endBytes: number;
  newestMs: number;
  markBytes: number;
  /** The end of the written and synced bytes: `endBytes`, and groups not published yet. */
  writtenBytes: number;
  /** All bytes that became live since the node was opened. Never falls. */
  revivedBytes = 0;
  /** Number of written records that are neither published nor abandoned. */
  pending = 0;
  /** Compaction or eviction is emptying it: others leave it alone. */
  isBeingEmptied = false;
  /** Why compaction skips it while it has live data. */
  damage: string | undefined;
  /** Bytes of the file that were freed by holes. */
  freedBytes = 0;
  /** Dead bytes when holes were last punched: more need not be looked for before there are more. */
  punchedDeadBytes: number;
  /** With what each of them needs, if it does not need all. */
  readonly #pins = new Map<Pin, (() => readonly Span[]) | undefined>();
  /** Calls of `released` that have not ended. */
  readonly #waiting = new Set<(pin: Pin) => void>();

  constructor(facts: VolumeFacts) {
    this.number = facts.number;
    this.kind = facts.kind;
    this.bucketId = facts.bucketId;
    this.createdMs = facts.createdMs;
    this.age = facts.number;
    this.state = facts.state;
    this.liveBytes = facts.liveBytes;
    this.endBytes = facts.endBytes;
    this.newestMs = facts.newestMs;
    this.markBytes = facts.markBytes;
    this.writtenBytes = Math.max(facts.endBytes, HEADER_BYTES);
    // Groups that were written and never published were cut off.
    this.punchedDeadBytes = Math.min(facts.punchedDeadBytes ?? 0, this.deadBytes);
  }

  get pins(): number {
    return this.#pins.size;
  }

  /** Unreferenced bytes: overwritten, deleted, padding. */
  get deadBytes(): number {
    return Math.max(0, this.writtenBytes - HEADER_BYTES - this.liveBytes - this.markBytes);
  }

  /**
   * Its file, and the records that are referred to now, stay until the pin is released. `needed`:
   * the bytes that must stay whatever is dropped or deleted; by default all.
   */
  pin(needed?: () => readonly Span[]): Pin {
    const pin: Pin = {
      release: () => {
        if (!this.#pins.delete(pin)) return;
        for (const onRelease of this.#waiting) onRelease(pin);
      },
    };
    this.#pins.set(pin, needed);
    return pin;
  }

  /** What the pins need. Undefined: one of them needs all of it. */
  neededSpans(): Span[] | undefined {
    const spans: Span[] = [];
    for (const needed of this.#pins.values()) {
      if (needed === undefined) return undefined;
      for (const span of needed()) spans.push(span);
    }
    return spans;
  }

  /**
   * Resolves to true when all pins that exist now, except for some, are released; to false when
   * `stop` is aborted or `mostMs` have passed first. Later pins do not matter: they are of records
   * that are referred to now.
   */
  released({ own, ofWhole, stop, mostMs }: ReleaseOptions = {}): Promise<boolean> {
    const left = new Set(this.#pins.keys());
    for (const [pin, needed] of ofWhole === true ? this.#pins : []) {
      if (needed !== undefined) left.delete(pin);
    }
    if (own !== undefined) left.delete(own);
    if (left.size === 0) return Promise.resolve(true);
    if (stop?.aborted === true) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (isReleased: boolean): void => {
        clearTimeout(timer);
        stop?.removeEventListener('abort', onEnd);
        this.#waiting.delete(onRelease);
        resolve(isReleased);
      };
      const onEnd = (): void => end(false);
      const onRelease = (pin: Pin): void => {
        if (left.delete(pin) && left.size === 0) end(true);
      };
      const timer = mostMs === undefined ? undefined : setTimeout(onEnd, mostMs);
      timer?.unref();
      stop?.addEventListener('abort', onEnd);
      this.#waiting.add(onRelease);
    });
  }
}
