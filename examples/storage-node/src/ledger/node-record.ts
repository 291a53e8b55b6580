import { ByteReader, ByteWriter } from './byte-writer.ts';
import { keyOf } from './keys.ts';

/** Identifies the directory as this node's. */
export interface NodeIdentity {
  /** 16 random bytes, also in every volume's header. */
  readonly nodeId: Uint8Array;
  /** 16 random bytes: the key of the hash of names. */
  readonly hashKey: Uint8Array;
  /** Times of objects are relative to it. */
  readonly epochMs: number;
  /** Records from this sequence on contain the hash of their name under `hashKey`. */
  readonly hashedSince: number;
}

/** Times of objects are stored as so many milliseconds after the epoch of the node: 34 years. */
export const MOST_TIME_MS = 2 ** 40 - 1;
/** No node is older than this. */
const OLDEST_TIME_MS = Date.UTC(2020, 0, 1);

/**
 * The epoch of a node whose objects have times between these, so far. Clocks may have been wrong,
 * and are corrected later: the time at which a node is created is no bound.
 */
export function epochOf(earliestMs: number, latestMs: number): number {
  const haveRoom = latestMs - earliestMs <= MOST_TIME_MS;
  return haveRoom ? Math.min(earliestMs, OLDEST_TIME_MS) : OLDEST_TIME_MS;
}

export const IDENTITY_KEY: bigint = keyOf('node', 1);
export const COUNTERS_KEY: bigint = keyOf('node', 2);

export function encodeIdentity({ nodeId, hashKey, epochMs, hashedSince }: NodeIdentity): Buffer {
  return new ByteWriter().bytes(nodeId).bytes(hashKey).number(epochMs).number(hashedSince).end();
}

export function decodeIdentity(data: Uint8Array): NodeIdentity {
  const reader = new ByteReader(data);
  return {
    nodeId: Uint8Array.from(reader.bytes(16)),
    hashKey: Uint8Array.from(reader.bytes(16)),
    epochMs: reader.number(),
    hashedSince: reader.number(),
  };
}

export interface CounterState {
  readonly serial: number;
  readonly nextVolume: number;
  readonly nextBucket: number;
  readonly nextLeaf: number;
}

export function encodeCounters(state: CounterState): Buffer {
  return new ByteWriter()
    .number(state.serial)
    .number(state.nextVolume)
    .number(state.nextBucket)
    .number(state.nextLeaf)
    .end();
}

/** Number of serials that are reserved in lodestore at a time. */
const SERIALS = 2 ** 20;

/**
 * Numbers that are never reused. `serial` orders records of volumes and identifies bodies. It is
 * recorded as an upper bound; the others are recorded as they are, with what they number.
 */
export class Counters {
  #serial: number;
  #serialBound: number;
  nextVolume: number;
  nextBucket: number;
  nextLeaf: number;
  #recorded = '';

  constructor(data: Uint8Array | undefined) {
    const reader = data === undefined ? undefined : new ByteReader(data);
    this.#serial = reader?.number() ?? 1;
    this.#serialBound = this.#serial;
    this.nextVolume = reader?.number() ?? 1;
    this.nextBucket = reader?.number() ?? 1;
    this.nextLeaf = reader?.number() ?? 1;
  }

  /**
   * Once the bound that `pending` returns is recorded, no lower serial is used again, in this run
   * or another.
   */
  takeSerial(): number {
    return this.#serial++;
  }

  /** The next serial. */
  get serial(): number {
    return this.#serial;
  }

  takeBucket(): number {
    return this.nextBucket++;
  }

  takeLeaf(): number {
    return this.nextLeaf++;
  }

  /** Whether serials run out before the next bound is recorded. */
  get isShort(): boolean {
    return this.#serial + SERIALS / 2 > this.#serialBound;
  }

  /** What a batch must record; undefined if nothing has changed. */
  pending(): { readonly data: Buffer; readonly recorded: () => void } | undefined {
    const bound = this.isShort ? this.#serial + 2 * SERIALS : this.#serialBound;
    const state = `${bound} ${this.nextVolume} ${this.nextBucket} ${this.nextLeaf}`;
    if (state === this.#recorded) return undefined;
    const { nextVolume, nextBucket, nextLeaf } = this;
    const data = encodeCounters({ serial: bound, nextVolume, nextBucket, nextLeaf });
    const recorded = (): void => {
      this.#serialBound = bound;
      this.#recorded = state;
    };
    return { data, recorded };
  }
}
