import type { Bucket } from '../ledger/bucket-record.ts';
import { encodeRecord } from '../volumes/record.ts';
import type { NodeParts } from './node-parts.ts';
import { nextTurn } from '../turn-pace.ts';

const NOTHING = new Uint8Array();

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
 */
export class Marks {
  readonly #parts: NodeParts;
  #inFlight = 0;

  constructor(parts: NodeParts) {
    this.#parts = parts;
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

  async #write(kind: 'tombstone' | 'void', fields: MarkFields): Promise<void> {
    const { volumes, writers, buckets, publisher, now } = this.#parts;
    const bucket = buckets.byId(fields.bucket.id);
    const writer = bucket === undefined ? writers.data : writers.of(bucket);
    const record = encodeRecord({
      kind,
      sequence: fields.sequence,
      key: BigInt(volumes.nextNumber - 1),
      bucketId: fields.bucket.id,
      sizeBytes: fields.voided ?? 0,
      timeMs: now(),
      name: fields.name,
      meta: NOTHING,
      body: [],
      bodyBytes: 0,
    });
    this.#inFlight++;
    try {
      const at = await writer.append(record);
      // Until it is counted, only the pending record keeps its volume from being removed.
      await publisher.submit((turn) => turn.mark(at)).finally(() => at.settle());
    } catch (error) {
      this.#parts.onError(error);
    } finally {
      this.#inFlight--;
    }
  }
}
