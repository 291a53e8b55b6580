import type { Bucket } from '../ledger/bucket-record.ts';
import { decodeMark, encodeMark, KEPT_MARKS, markKey, type Mark } from '../ledger/mark-record.ts';
import { encodeRecord } from '../volumes/record.ts';
import type { NodeParts } from './node-parts.ts';
import { nextTurn } from '../turn-pace.ts';

const NOTHING = new Uint8Array();
/** So many marks that could not be written are kept in the metadata; further ones are lost. */
const MOST_KEPT = 100_000;
/** Kept marks that are written together. */
const MARKS_AT_ONCE = 256;
/** A round of upkeep writes kept marks if so much is free: their group, and a volume for it. */
const ROOM_BYTES = 2 ** 20;
/** After a failure, at most so many rounds pass before the next attempt. */
const MOST_ROUNDS = 60;

export interface MarkFields {
  readonly bucket: Pick<Bucket, 'id'>;
  /** UTF-8; empty for the bucket itself. */
  readonly name: Uint8Array;
  readonly sequence: number;
  /** Sequence of the void record. */
  readonly voided?: number;
}

/**
 * Marks in volumes that only a rebuild of the metadata reads: that an object was deleted, or that a
 * record was never published. A mark is written with the next group, and nobody waits for it, so a
 * crash may lose the last ones. Its key is the highest volume that may contain what the mark is
 * about; once all volumes up to it are gone, the mark is no longer needed.
 *
 * A mark whose group fails, as on a full disk, is kept in the metadata until a later attempt: in a
 * round of upkeep, or when the node is closed.
 */
export class Marks {
  readonly #parts: NodeParts;
  #inFlight = 0;
  /** Number of kept marks, including those that are being kept. */
  #kept: number;
  /** Rounds that pass before the next attempt, and that passed before the last one. */
  #rounds = { left: 0, last: 0 };

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#kept = [...parts.store.keys(KEPT_MARKS)].length;
  }

  /** Resolves when no mark is in flight. */
  async idle(): Promise<void> {
    while (this.#inFlight > 0) await nextTurn();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  tombstone(fields: MarkFields): void {
    void this.#write('tombstone', fields);
  }

  /** The record `voided` was written, and then refused or deleted. No other record is meant. */
  voidRecord(fields: MarkFields & { readonly voided: number }): Promise<void> {
    return this.#write('void', fields);
  }

  async #write(kind: Mark['kind'], { bucket, name, sequence, voided }: MarkFields): Promise<void> {
    const { onError, publisher, volumes } = this.#parts;
    const volume = volumes.nextNumber - 1;
    const mark = { kind, bucketId: bucket.id, name, sequence, voided: voided ?? 0, volume };
    this.#inFlight++;
    try {
      await this.#append(mark, false);
    } catch (error) {
      onError(error);
      if (publisher.failure === undefined) await this.#keep(mark);
    } finally {
      this.#inFlight--;
    }
  }

  async #append(mark: Mark, isKept: boolean): Promise<void> {
    const { writers, buckets, publisher, now } = this.#parts;
    const bucket = buckets.byId(mark.bucketId);
    const writer = bucket === undefined ? writers.data : writers.of(bucket);
    const record = encodeRecord({
      kind: mark.kind,
      sequence: mark.sequence,
      key: BigInt(mark.volume),
      bucketId: mark.bucketId,
      sizeBytes: mark.voided,
      timeMs: now(),
      name: mark.name,
      meta: NOTHING,
      body: [],
      bodyBytes: 0,
    });
    const at = await writer.append(record);
    // Until it is counted, only the pending record keeps its volume from being removed.
    await publisher
      .submit((turn) => {
        turn.mark(at);
        if (isKept) turn.delete(markKey(mark));
      })
      .finally(() => at.settle());
    if (isKept) this.#kept--;
  }

  async #keep(mark: Mark): Promise<void> {
    this.#kept++;
    try {
      if (this.#kept > MOST_KEPT) throw new Error(`${MOST_KEPT} marks wait to be written`);
      const data = encodeMark(mark);
      await this.#parts.publisher.submit((turn) => turn.put(markKey(mark), 1n, data));
    } catch (cause) {
      this.#kept--;
      const message = 'a mark of a deletion is lost: rebuild-index would undo the deletion';
      this.#parts.onError(new Error(message, { cause }));
    }
  }

  /** As `writeKept`, if there is room, and not again and again where it fails. */
  async writeKeptIfDue(): Promise<void> {
    if (this.#kept === 0 || this.#parts.space.freeBytes < ROOM_BYTES) return;
    if (this.#rounds.left > 0) {
      this.#rounds.left--;
      return;
    }
    const isDone = await this.writeKept();
    const last = isDone ? 0 : Math.min(MOST_ROUNDS, 2 * this.#rounds.last + 1);
    this.#rounds = { left: last, last };
  }

  /** Writes the kept marks to volumes. False if one cannot be written, which is reported. */
  async writeKept(): Promise<boolean> {
    const { store, publisher, onError } = this.#parts;
    this.#inFlight++;
    try {
      while (this.#kept > 0 && publisher.failure === undefined) {
        const marks: Mark[] = [];
        for (const [key, { data }] of store.entries(KEPT_MARKS)) {
          marks.push(decodeMark(key, data));
          if (marks.length === MARKS_AT_ONCE) break;
        }
        // They are being kept.
        if (marks.length === 0) break;
        const written = await Promise.allSettled(marks.map((mark) => this.#append(mark, true)));
        const failed = written.find((one) => one.status === 'rejected');
        if (failed === undefined) continue;
        onError(failed.reason);
        return false;
      }
      return true;
    } finally {
      this.#inFlight--;
    }
  }
}
