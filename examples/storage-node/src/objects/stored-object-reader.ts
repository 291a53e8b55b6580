import type { ByteRange, ObjectDetails, ObjectReader } from '../object-node.ts';
import { extentKey, keyOf } from '../ledger/keys.ts';
import type { Place } from '../volumes/handle.ts';
import { placeOf } from '../volumes/handle.ts';
import { BLOCK_BYTES, blockCount, blockSeed, bodyOffset } from '../volumes/record.ts';
import { firstDamagedBlock, RECORD_HEADER_BYTES, type RecordHeader } from '../volumes/record.ts';
import type { VolumeSet } from '../volumes/volume-set.ts';
import type { Pin, Volume } from '../volumes/volume.ts';
import { decodeContent, decodeExtent, type ExtentRun } from './content-record.ts';
import type { NodeParts } from './node-parts.ts';
import type { ObjectEntry } from './object-entry.ts';

/** Bytes of a body read at once: a multiple of the blocks that checksums cover. */
const PIECE_BYTES = 8 * BLOCK_BYTES;

/** Contiguous bytes of an object in a volume. */
interface Stretch {
  readonly volume: Volume;
  /** Offset of the first byte of the body in the volume. */
  readonly bodyAt: number;
  readonly bodyBytes: number;
  readonly seed: number;
}

export interface ResolvedContent {
  readonly serial: number;
  readonly runs: readonly ExtentRun[];
  readonly extents: readonly Stretch[];
}

/** The current places of an object's extents. */
export function resolveContent(
  { store, volumes }: Pick<NodeParts, 'store' | 'volumes'>,
  entry: ObjectEntry,
  nameBytes: number,
): ResolvedContent | undefined {
  if (entry.content === undefined) return undefined;
  const record = store.get(keyOf('content', entry.content));
  if (record === undefined) throw new Error(`there is no content record ${entry.content}`);
  const runs = decodeContent(record.data);
  const extents: Stretch[] = [];
  for (const { serial, count } of runs) {
    for (let i = 0; i < count; i++) {
      const extent = store.get(extentKey(serial, i));
      if (extent === undefined) throw new Error(`there is no extent ${i} of ${serial}`);
      const { volume: number, offset } = placeOf(extent.value);
      const { bodyBytes } = decodeExtent(extent.data);
      extents.push({
        volume: volumes.existing(number, offset),
        // Extents contain the name of their object.
        bodyAt: offset + RECORD_HEADER_BYTES + nameBytes,
        bodyBytes,
        seed: blockSeed(serial, BigInt(i)),
      });
    }
  }
  return { serial: entry.content, runs, extents };
}

export interface OpenedObject {
  readonly details: ObjectDetails;
  readonly volume: Volume;
  readonly place: Place;
  readonly header: RecordHeader;
  /** The start of the record: the whole record, or header, name and meta. */
  readonly head: Buffer;
  readonly content: ResolvedContent | undefined;
  readonly pins: readonly Pin[];
}

/** An object as it was when it was opened, whatever is published and compacted meanwhile. */
export class StoredObjectReader implements ObjectReader {
  readonly details: ObjectDetails;
  readonly #volumes: VolumeSet;
  readonly #opened: OpenedObject;
  #isClosed = false;

  constructor(volumes: VolumeSet, opened: OpenedObject) {
    this.details = opened.details;
    this.#volumes = volumes;
    this.#opened = opened;
  }

  get place(): Place {
    return this.#opened.place;
  }

  get flags(): number {
    return this.#opened.header.flags;
  }

  get content(): ResolvedContent | undefined {
    return this.#opened.content;
  }

  /** Verified bytes of a body in the record itself. */
  async recordBody(): Promise<Buffer> {
    const pieces: Buffer[] = [];
    const { bodyBytes } = this.#opened.header;
    for await (const piece of this.#read(this.#inline, 0, bodyBytes)) pieces.push(piece);
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  get #inline(): Stretch {
    const { volume, place, header } = this.#opened;
    return {
      volume,
      bodyAt: place.offset + bodyOffset(header),
      bodyBytes: header.bodyBytes,
      seed: blockSeed(header.sequence, header.key),
    };
  }

  async *body(range?: ByteRange): AsyncGenerator<Uint8Array> {
    try {
      const { sizeBytes } = this.details;
      const from = Math.min(range?.startBytes ?? 0, sizeBytes);
      const to = Math.min(range?.endBytes ?? sizeBytes, sizeBytes);
      let start = 0;
      for (const stretch of this.#opened.content?.extents ?? [this.#inline]) {
        const end = start + stretch.bodyBytes;
        if (end > from && start < to) {
          yield* this.#read(stretch, Math.max(from, start) - start, Math.min(to, end) - start);
        }
        start = end;
      }
    } finally {
      this.close();
    }
  }

  heldBody(range?: ByteRange): Buffer | undefined {
    const { content, head, place } = this.#opened;
    const inline = this.#inline;
    const at = inline.bodyAt - place.offset;
    const tableAt = at + inline.bodyBytes;
    const isHeld = tableAt + 4 * blockCount(inline.bodyBytes) <= head.length;
    if (content !== undefined || !isHeld) return undefined;
    const { sizeBytes } = this.details;
    const from = Math.min(range?.startBytes ?? 0, sizeBytes);
    const to = Math.min(range?.endBytes ?? sizeBytes, sizeBytes);
    const first = Math.floor(from / BLOCK_BYTES);
    const start = first * BLOCK_BYTES;
    const end = Math.min(Math.ceil(to / BLOCK_BYTES) * BLOCK_BYTES, inline.bodyBytes);
    const bytes = head.subarray(at + start, at + end);
    this.#check(inline, bytes, head.subarray(tableAt + 4 * first), first);
    return bytes.subarray(from - start, to - start);
  }

  /** Bytes [from, to) of a stretch, one piece at a time. */
  async *#read(stretch: Stretch, from: number, to: number): AsyncGenerator<Buffer> {
    const { bodyBytes } = stretch;
    const table = await this.#table(stretch, from, to);
    const firstBlock = Math.floor(from / BLOCK_BYTES);
    for (let at = firstBlock * BLOCK_BYTES; at < to; at += PIECE_BYTES) {
      const end = Math.min(at + PIECE_BYTES, bodyBytes, Math.ceil(to / BLOCK_BYTES) * BLOCK_BYTES);
      const bytes = await this.#bytes(stretch.volume, stretch.bodyAt + at, end - at);
      const block = at / BLOCK_BYTES;
      this.#check(stretch, bytes, table.subarray(4 * (block - firstBlock)), block);
      yield bytes.subarray(Math.max(0, from - at), Math.min(end, to) - at);
    }
  }

  /** Blocks from `first` on, and their checksums. @throws DamagedObjectError */
  #check(stretch: Stretch, blocks: Buffer, table: Buffer, first: number): void {
    const damaged = firstDamagedBlock(blocks, table, stretch.seed, first);
    if (damaged < 0) return;
    const { bucket, name } = this.details;
    const message = `the bytes of ${bucket}/${name} are not what was stored`;
    throw this.#volumes.damaged(stretch.volume, stretch.bodyAt + damaged * BLOCK_BYTES, message);
  }

  /** The checksums of the blocks of a range. */
  #table(stretch: Stretch, from: number, to: number): Promise<Buffer> {
    const first = Math.floor(from / BLOCK_BYTES);
    const count = Math.ceil(to / BLOCK_BYTES) - first;
    return this.#bytes(stretch.volume, stretch.bodyAt + stretch.bodyBytes + 4 * first, 4 * count);
  }

  async #bytes(volume: Volume, offset: number, length: number): Promise<Buffer> {
    const { head, place } = this.#opened;
    const at = offset - place.offset;
    const isHeld = volume === this.#opened.volume && at >= 0 && at + length <= head.length;
    if (isHeld) return head.subarray(at, at + length);
    const bytes = Buffer.allocUnsafe(length);
    await this.#volumes.read(volume, bytes, offset);
    return bytes;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const pin of this.#opened.pins) pin.release();
  }
}
