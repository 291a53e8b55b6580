import type { MetadataStore } from 'lodestore';
import type { ByteRange, ObjectDetails, ObjectReader } from '../object-node.ts';
import { quoted, type DamagedObjectError } from '../node-errors.ts';
import { nextTurn } from '../turn-pace.ts';
import { extentKey, keyOf } from '../ledger/keys.ts';
import type { Place } from '../volumes/handle.ts';
import { placeOf } from '../volumes/handle.ts';
import { BLOCK_BYTES, blockCount, BlockTable, tableLength } from '../volumes/block-table.ts';
import { blockSeed, bodyOffset, FLAG_COMPRESSED, RECORD_HEADER_BYTES } from '../volumes/record.ts';
import { firstDamagedBlock, lengthOfRecord, type RecordHeader } from '../volumes/record.ts';
import { contentOfBlock, type StoredBody } from '../volumes/stored-body.ts';
import type { VolumeSet } from '../volumes/volume-set.ts';
import type { Pin, Span, Volume } from '../volumes/volume.ts';
import { decodeContent, decodeExtent, type ExtentRun } from './content-record.ts';
import type { NodeParts } from './node-parts.ts';
import type { ObjectEntry } from './object-entry.ts';

/** Bytes of a body read at once: a multiple of the blocks that checksums cover. */
const PIECE_BLOCKS = 8;
const PIECE_BYTES = PIECE_BLOCKS * BLOCK_BYTES;

/** Contiguous bytes of an object in a volume. */
interface Stretch {
  readonly volume: Volume;
  /** Its record in the volume. */
  readonly record: Span;
  /** Offset of the first byte of the body in the volume. */
  readonly bodyAt: number;
  /** Bytes as stored. */
  readonly bodyBytes: number;
  /** Bytes of the object. */
  readonly sizeBytes: number;
  readonly isCompressed: boolean;
  readonly seed: number;
}

interface ResolvingContent {
  readonly serial: number;
  readonly runs: readonly ExtentRun[];
  readonly extents: Stretch[];
  startBytes: number;
}

export interface ResolvedContent {
  readonly serial: number;
  readonly runs: readonly ExtentRun[];
  /** Those with the wanted bytes, one after another. */
  readonly extents: readonly Stretch[];
  /** The first byte of the object in them. */
  readonly startBytes: number;
}

/** Extents that are looked up in one turn of the event loop, which takes about 10 ms. */
const TURN_EXTENTS = 1_000;

type Records = Pick<MetadataStore, 'get'>;

interface Looked {
  readonly entry: ObjectEntry;
  readonly nameBytes: number;
  readonly wanted: ByteRange;
}

export interface PinnedContent {
  readonly content: ResolvedContent;
  readonly pins: readonly Pin[];
}

/**
 * The current places of the extents with the wanted bytes of an object, and pins of their volumes.
 * Without an await if they are few. For many, a snapshot of the metadata and pins of all volumes
 * keep the content as it is now until all are looked up, in several turns of the event loop.
 */
export function pinContent(
  parts: Pick<NodeParts, 'store' | 'volumes'>,
  looked: Looked,
): PinnedContent | Promise<PinnedContent> | undefined {
  const { store, volumes } = parts;
  const { content: serial } = looked.entry;
  if (serial === undefined) return undefined;
  const record = store.get(keyOf('content', serial));
  if (record === undefined) throw new Error(`there is no content record ${serial}`);
  const runs = decodeContent(record.data);
  const content: ResolvingContent = { serial, runs, extents: [], startBytes: 0 };
  if (runs.reduce((sum, { count }) => sum + count, 0) > TURN_EXTENTS) {
    return inTurns(parts, content, looked);
  }
  for (const _ of resolving(store, volumes, content, looked));
  return { content, pins: pinsOf(content.extents) };
}

async function inTurns(
  { store, volumes }: Pick<NodeParts, 'store' | 'volumes'>,
  content: ResolvingContent,
  looked: Looked,
): Promise<PinnedContent> {
  const held = [...volumes].map((volume) => volume.pin());
  const records = store.snapshot();
  try {
    for (const _ of resolving(records, volumes, content, looked)) await nextTurn();
    return { content, pins: pinsOf(content.extents) };
  } finally {
    records.release();
    for (const pin of held) pin.release();
  }
}

/** Pins of the volumes of records, each with the records in it. */
export function pinsOf(needed: readonly Pick<Stretch, 'volume' | 'record'>[]): Pin[] {
  const spans = new Map<Volume, Span[]>();
  for (const { volume, record } of needed) {
    const others = spans.get(volume);
    if (others === undefined) spans.set(volume, [record]);
    else others.push(record);
  }
  return [...spans].map(([volume, records]) => volume.pin(() => records));
}

/** Yields between portions. */
function* resolving(
  records: Records,
  volumes: VolumeSet,
  content: ResolvingContent,
  { nameBytes, wanted: { startBytes: from, endBytes: to } }: Looked,
): Generator<void, void> {
  const { runs, extents } = content;
  let count = 0;
  let runStart = 0;
  for (const { serial, count: runExtents, sizeBytes: runBytes } of runs) {
    let end = runStart;
    runStart += runBytes;
    for (let i = runStart > from ? 0 : runExtents; i < runExtents && end < to; i++) {
      if (count++ % TURN_EXTENTS === TURN_EXTENTS - 1) yield;
      const extent = records.get(extentKey(serial, i));
      if (extent === undefined) throw new Error(`there is no extent ${i} of ${serial}`);
      const { volume: number, offset } = placeOf(extent.value);
      const { bodyBytes, lengthBytes, sizeBytes, flags } = decodeExtent(extent.data);
      end += sizeBytes;
      if (end <= from) continue;
      if (extents.length === 0) content.startBytes = end - sizeBytes;
      if ((flags & ~FLAG_COMPRESSED) !== 0) {
        throw volumes.damaged({ number }, offset, 'an extent of a later version of the node');
      }
      extents.push({
        volume: volumes.existing(number, offset),
        record: { from: offset, to: offset + lengthBytes },
        // Extents contain the name of their object.
        bodyAt: offset + RECORD_HEADER_BYTES + nameBytes,
        bodyBytes,
        sizeBytes,
        isCompressed: flags !== 0,
        seed: blockSeed(serial, BigInt(i)),
      });
    }
  }
}

export interface OpenedObject {
  readonly details: ObjectDetails;
  /** The bytes of it that may be read. */
  readonly wanted: ByteRange;
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

  /** A body in the record itself: its verified bytes as they are stored. */
  async recordBody(): Promise<StoredBody> {
    const stretch = this.#inline;
    const { bodyBytes } = stretch;
    const pieces: Buffer[] = [];
    if (!stretch.isCompressed) {
      for await (const piece of this.#readPlain(stretch, 0, bodyBytes)) pieces.push(piece);
      return { pieces, bodyBytes };
    }
    const table = await this.#blockTable(stretch);
    for await (const { block, stored } of this.#storedBlocks(stretch, table, 0, table.count)) {
      if (!table.isSound(block, stored)) throw this.#damaged(stretch, table.startOf(block));
      pieces.push(stored);
    }
    return { pieces, bodyBytes, blockLengths: table.blockLengths };
  }

  get #inline(): Stretch {
    const { volume, place, header } = this.#opened;
    const isCompressed = (header.flags & FLAG_COMPRESSED) !== 0;
    return {
      volume,
      record: { from: place.offset, to: place.offset + lengthOfRecord(header) },
      bodyAt: place.offset + bodyOffset(header),
      bodyBytes: header.bodyBytes,
      // That of a list of extents is the length of the object.
      sizeBytes: isCompressed ? header.sizeBytes : header.bodyBytes,
      isCompressed,
      seed: blockSeed(header.sequence, header.key),
    };
  }

  async *body(range?: ByteRange): AsyncGenerator<Uint8Array> {
    try {
      const { from, to } = this.#bounds(range);
      const { extents, startBytes } = this.#opened.content ?? {
        extents: [this.#inline],
        startBytes: 0,
      };
      let start = startBytes;
      for (const stretch of extents) {
        const end = start + stretch.sizeBytes;
        if (end > from && start < to) {
          yield* this.#read(stretch, Math.max(from, start) - start, Math.min(to, end) - start);
        }
        start = end;
      }
    } finally {
      this.close();
    }
  }

  /** @throws RangeError for bytes that were not wanted */
  #bounds(range: ByteRange | undefined): Span {
    const { sizeBytes } = this.details;
    const from = Math.min(Math.max(0, range?.startBytes ?? 0), sizeBytes);
    const to = Math.min(range?.endBytes ?? sizeBytes, sizeBytes);
    const { startBytes, endBytes } = this.#opened.wanted;
    if (from >= to || (from >= startBytes && to <= endBytes)) return { from, to };
    throw new RangeError(`bytes ${from} to ${to} were not wanted when the object was opened`);
  }

  heldBody(range?: ByteRange): Buffer | undefined {
    const { content, head, place } = this.#opened;
    const inline = this.#inline;
    // Blocks are decompressed in turns of the event loop.
    if (inline.isCompressed) return undefined;
    const at = inline.bodyAt - place.offset;
    const tableAt = at + inline.bodyBytes;
    const isHeld = tableAt + 4 * blockCount(inline.bodyBytes) <= head.length;
    if (content !== undefined || !isHeld) return undefined;
    const { from, to } = this.#bounds(range);
    const first = Math.floor(from / BLOCK_BYTES);
    const start = first * BLOCK_BYTES;
    const end = Math.min(Math.ceil(to / BLOCK_BYTES) * BLOCK_BYTES, inline.bodyBytes);
    const bytes = head.subarray(at + start, at + end);
    this.#check(inline, bytes, head.subarray(tableAt + 4 * first), first);
    return bytes.subarray(from - start, to - start);
  }

  /** Bytes [from, to) of the object in a stretch, one piece at a time. */
  #read(stretch: Stretch, from: number, to: number): AsyncGenerator<Buffer> {
    return stretch.isCompressed
      ? this.#readCompressed(stretch, from, to)
      : this.#readPlain(stretch, from, to);
  }

  async *#readPlain(stretch: Stretch, from: number, to: number): AsyncGenerator<Buffer> {
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
    if (damaged >= 0) throw this.#damaged(stretch, damaged * BLOCK_BYTES);
  }

  async *#readCompressed(stretch: Stretch, from: number, to: number): AsyncGenerator<Buffer> {
    const table = await this.#blockTable(stretch);
    const first = Math.floor(from / BLOCK_BYTES);
    const end = Math.ceil(to / BLOCK_BYTES);
    for await (const { block, stored } of this.#storedBlocks(stretch, table, first, end)) {
      const content = await contentOfBlock(table, block, stored);
      if (content === undefined) throw this.#damaged(stretch, table.startOf(block));
      const at = block * BLOCK_BYTES;
      yield content.subarray(Math.max(0, from - at), to - at);
    }
  }

  /** Stored blocks [first, end), not verified. A few are read at once. */
  async *#storedBlocks(
    stretch: Stretch,
    table: BlockTable,
    first: number,
    end: number,
  ): AsyncGenerator<{ readonly block: number; readonly stored: Buffer }> {
    for (let from = first; from < end; from += PIECE_BLOCKS) {
      const to = Math.min(from + PIECE_BLOCKS, end);
      const start = table.startOf(from);
      const length = table.startOf(to) - start;
      const bytes = await this.#bytes(stretch.volume, stretch.bodyAt + start, length);
      for (let block = from; block < to; block++) {
        const at = table.startOf(block) - start;
        yield { block, stored: bytes.subarray(at, at + table.lengthOf(block)) };
      }
    }
  }

  /** @throws DamagedObjectError */
  async #blockTable(stretch: Stretch): Promise<BlockTable> {
    const { volume, bodyAt, bodyBytes, sizeBytes } = stretch;
    const bytes = await this.#bytes(volume, bodyAt + bodyBytes, tableLength(sizeBytes));
    const table = BlockTable.read(bytes, stretch);
    if (table === undefined) throw this.#damaged(stretch, bodyBytes);
    return table;
  }

  /** `at`: offset in the body. */
  #damaged({ volume, bodyAt }: Stretch, at: number): DamagedObjectError {
    const { bucket, name } = this.details;
    const path = `${bucket}/${name}`;
    const message = `the bytes of ${quoted(path)} are not what was stored`;
    return this.#volumes.damaged(volume, bodyAt + at, message);
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
