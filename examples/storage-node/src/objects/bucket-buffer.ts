import type { Bucket } from '../ledger/bucket-record.ts';
import type { ByteName } from '../names/byte-name.ts';
import type { Appended } from '../volumes/group-writer.ts';
import type { PendingPut } from './pending-put.ts';

/** A segment takes no more puts once it has this many bytes, or this many puts. */
const SEGMENT_BYTES = 4 * 2 ** 20;
const SEGMENT_PUTS = 1_000;

/** Puts that become durable together. */
interface Segment {
  readonly puts: Map<ByteName, PendingPut>;
  bytes: number;
  /** `sealed`: being written, or to be written before the segments after it. */
  state: 'open' | 'sealed';
}

export interface BucketBufferEvents {
  /** Makes all of them durable and visible in one batch of the metadata, or none. */
  readonly write: (buffer: BucketBuffer, puts: readonly PendingPut[]) => Promise<void>;
  /** The memory of a put is free. */
  readonly onReleased: (put: PendingPut) => void;
  readonly onWritten: () => void;
  readonly onFailed: (buffer: BucketBuffer, error: unknown) => void;
}

/**
 * The write buffer of one bucket: its acknowledged PUTs that are not durable yet.
 *
 * They are in segments, in the order of their acknowledgements. A put goes to the last segment, if
 * that is open. A name that is put again there replaces the earlier put. A segment is sealed before
 * it is written, and written before the next one. It is published in one batch of the metadata.
 * After a crash, a segment is therefore there with all segments before it, or not at all: the
 * bucket has a prefix of its acknowledged PUTs.
 *
 * A failed write keeps the segment. Nothing is written behind it until it was written.
 */
export class BucketBuffer {
  readonly bucket: Bucket;
  readonly #events: BucketBufferEvents;
  /** The oldest is first. Only the last one may be open. */
  readonly #segments: Segment[] = [];
  /** The newest put of each name. */
  readonly #newest = new Map<ByteName, PendingPut>();
  /** Names that are changed without the buffer, with the number of calls. */
  readonly #held = new Map<ByteName, number>();
  #heldWhole = 0;
  /** Memory of the puts that are in no volume yet. */
  #unwrittenBytes = 0;
  #writing: Promise<void> | undefined;
  /** Why the last write failed; undefined: it did not. */
  failure: Error | undefined;

  constructor(bucket: Bucket, events: BucketBufferEvents) {
    this.bucket = bucket;
    this.#events = events;
  }

  get isEmpty(): boolean {
    return this.#segments.length === 0;
  }

  get puts(): number {
    return this.#segments.reduce((sum, { puts }) => sum + puts.size, 0);
  }

  get names(): ByteName[] {
    return [...this.#newest.keys()];
  }

  find(name: ByteName): PendingPut | undefined {
    return this.#newest.get(name);
  }

  get unwrittenBytes(): number {
    return this.#unwrittenBytes;
  }

  /** The put of the name that the next one may replace before it is written. */
  replaceable(name: ByteName): PendingPut | undefined {
    const last = this.#segments.at(-1);
    return last?.state === 'open' ? last.puts.get(name) : undefined;
  }

  /** The put that `put` would replace before it is written. */
  replacedBy(put: PendingPut): PendingPut | undefined {
    const last = this.#segments.at(-1);
    return last !== undefined && hasRoom(last, put) ? last.puts.get(put.target.name) : undefined;
  }

  /** From now on, GET returns it. */
  add(put: PendingPut): void {
    const segment = this.#open(put);
    const { name } = put.target;
    const replaced = segment.puts.get(name);
    segment.puts.set(name, put);
    this.#newest.set(name, put);
    const bytes = put.heldBytes - (replaced?.heldBytes ?? 0);
    segment.bytes += bytes;
    this.#unwrittenBytes += bytes;
    if (replaced !== undefined) this.#events.onReleased(replaced);
  }

  /** A put is in a volume. It is published later. */
  wrote(put: PendingPut, at: Appended): void {
    put.at = at;
    this.#unwrittenBytes -= put.heldBytes;
  }

  #open(put: PendingPut): Segment {
    const last = this.#segments.at(-1);
    if (last !== undefined && hasRoom(last, put)) return last;
    if (last !== undefined) last.state = 'sealed';
    const next: Segment = { puts: new Map(), bytes: 0, state: 'open' };
    this.#segments.push(next);
    return next;
  }

  /**
   * Until `release`, puts of the name, or of all names, are not buffered: a change that does not go
   * through the buffer comes after all puts before it, and before all after it.
   */
  hold(name: ByteName | undefined): void {
    if (name === undefined) this.#heldWhole++;
    else this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
  }

  release(name: ByteName | undefined): void {
    if (name === undefined) {
      this.#heldWhole--;
      return;
    }
    const count = this.#held.get(name)! - 1;
    if (count === 0) this.#held.delete(name);
    else this.#held.set(name, count);
  }

  isHeld(name: ByteName): boolean {
    return this.#heldWhole > 0 || this.#held.has(name);
  }

  /** Everything that was added before is durable when it resolves. */
  async flush(): Promise<void> {
    const last = this.#segments.at(-1);
    if (last === undefined) return;
    last.state = 'sealed';
    while (this.#segments.includes(last)) {
      this.#writing ??= this.#writeOldest().finally(() => (this.#writing = undefined));
      await this.#writing;
    }
  }

  async #writeOldest(): Promise<void> {
    const oldest = this.#segments[0]!;
    oldest.state = 'sealed';
    const puts = [...oldest.puts.values()];
    try {
      await this.#events.write(this, puts);
    } catch (error) {
      this.#events.onFailed(this, error);
      throw error;
    }
    this.failure = undefined;
    this.#segments.shift();
    for (const put of puts) {
      const { name } = put.target;
      if (this.#newest.get(name) === put) this.#newest.delete(name);
      this.#events.onReleased(put);
    }
    this.#events.onWritten();
  }
}

/** True if the segment takes the put, beside or instead of an earlier one of its name. */
function hasRoom({ puts, bytes, state }: Segment, { target, heldBytes }: PendingPut): boolean {
  const replaced = puts.get(target.name);
  const count = replaced === undefined ? puts.size + 1 : puts.size;
  const sum = bytes - (replaced?.heldBytes ?? 0) + heldBytes;
  return state === 'open' && count <= SEGMENT_PUTS && sum <= SEGMENT_BYTES;
}
