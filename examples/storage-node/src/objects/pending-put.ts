import type { ByteRange, ObjectDetails, ObjectInfo, ObjectReader } from '../object-node.ts';
import { textOfByteName } from '../names/byte-name.ts';
import type { Appended } from '../volumes/group-writer.ts';
import type { RecordFields, Target } from './object-record.ts';
import { decodeLabel, encodeLabel } from './record-label.ts';

/** Memory of a put besides its name, metadata and body, rounded up. */
const PUT_BYTES = 512;

/** A PUT that was acknowledged and is not durable yet. */
export class PendingPut {
  readonly target: Target;
  readonly fields: RecordFields;
  /** Memory that it occupies. */
  readonly heldBytes: number;
  /** Given when it is written for the first time. */
  sequence: number | undefined;
  /** Its place, once it is synced; it is published later. */
  at: Appended | undefined;

  /** The pieces are copied: they may be views of larger buffers. */
  constructor(
    target: Target,
    fields: Pick<RecordFields, 'label' | 'modifiedMs'>,
    pieces: readonly Uint8Array[],
  ) {
    const body = Buffer.concat(pieces);
    const { length } = body;
    this.target = target;
    this.fields = { ...fields, flags: 0, pieces: [body], bodyBytes: length, sizeBytes: length };
    const labelBytes = encodeLabel(fields.label).length;
    this.heldBytes = PUT_BYTES + 2 * target.nameBytes.length + labelBytes + length;
  }

  get etag(): string {
    return this.fields.label.etag;
  }

  get info(): ObjectInfo {
    const { sizeBytes, modifiedMs } = this.fields;
    const { bucket, name } = this.target;
    const text = textOfByteName(name);
    return { bucket: bucket.name, name: text, sizeBytes, etag: this.etag, modifiedMs };
  }

  reader(): ObjectReader {
    // As it will be read from the volume.
    const { meta } = decodeLabel(encodeLabel(this.fields.label));
    return new PendingPutReader({ ...this.info, meta }, this.fields.pieces[0]!);
  }
}

/** Reads from memory, also after the put was written or replaced. */
class PendingPutReader implements ObjectReader {
  readonly details: ObjectDetails;
  readonly #bytes: Uint8Array;

  constructor(details: ObjectDetails, bytes: Uint8Array) {
    this.details = details;
    this.#bytes = bytes;
  }

  async *body(range?: ByteRange): AsyncGenerator<Uint8Array> {
    const bytes = this.heldBody(range);
    if (bytes.length > 0) yield bytes;
  }

  /** A copy: the bytes are still to be written, and who reads them must not change them. */
  heldBody(range?: ByteRange): Buffer {
    return Buffer.from(this.#bytes.subarray(range?.startBytes ?? 0, range?.endBytes));
  }

  close(): void {}
}
