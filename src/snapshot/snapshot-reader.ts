import { assert } from '../base/assert.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import { decodeChunk } from '../format/chunk.ts';
import { CODEC_RAW, decompressInto } from '../format/compression.ts';
import type { ColumnMemory } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';
import { decodeFileHeader, FILE_HEADER_BYTES, type FileHeader } from '../format/file-header.ts';
import {
  decodeFrameHeader,
  decodePayload,
  FRAME_CHUNK,
  FRAME_HEADER_BYTES,
  FRAME_INDEX,
  type FrameHeader,
} from '../format/frame.ts';
import { Scratch } from '../format/scratch.ts';
import {
  decodeIndex,
  decodeTrailer,
  indexBytes,
  TRAILER_BYTES,
  type IndexEntry,
  type SnapshotIndex,
  type Trailer,
} from '../format/snapshot-index.ts';
import type { OpenFile } from '../fs/file-system.ts';
import { FileWindow, readFully, readFullySync } from '../fs/file-window.ts';

/** A part of a snapshot that is not as it was written. */
export interface SnapshotDamage {
  readonly kind: 'corrupt';
  readonly offset: number;
  readonly reason: string;
}

export interface SnapshotFile {
  readonly kind: 'snapshot';
  readonly header: FileHeader;
  readonly index: SnapshotIndex;
  readonly fileBytes: number;
  /**
   * Header checksum of the index frame. Together with the file header's checksum it identifies the
   * file's content.
   */
  readonly chain: number;
}

export type SnapshotResult =
  | SnapshotFile
  | SnapshotDamage
  /** The magic is not ours: the ancestor's snapshot, or a foreign file. */
  | { readonly kind: 'foreign'; readonly fileBytes: number }
  | { readonly kind: 'unsupported'; readonly version: number };

function damage(offset: number, reason: string): SnapshotDamage {
  return { kind: 'corrupt', offset, reason };
}

async function readRange(file: OpenFile, offset: number, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  return bytes.subarray(0, await readFully(file, bytes, offset));
}

/** Reads header, trailer and index of snapshot `number`, but no chunk. */
export async function readSnapshot(file: OpenFile, number: number): Promise<SnapshotResult> {
  const { sizeBytes } = await file.stat();
  const head = await readRange(file, 0, Math.min(FILE_HEADER_BYTES, sizeBytes));
  const result = decodeFileHeader(head, 'snapshot', number);
  if (result.kind === 'unsupported') return result;
  if (result.kind === 'foreign') return { kind: 'foreign', fileBytes: sizeBytes };
  if (result.kind === 'empty') return damage(0, 'the snapshot is empty');
  if (result.kind !== 'header') return damage(0, result.reason);
  const seed = new ChecksumSeed(result.header.storeId, 'snapshot', number);
  const trailerOffset = Math.max(sizeBytes - TRAILER_BYTES, 0);
  const tail = await readRange(file, trailerOffset, Math.min(TRAILER_BYTES, sizeBytes));
  const trailer = decodeTrailer(tail, seed, sizeBytes);
  if (typeof trailer === 'string') return damage(trailerOffset, trailer);
  if (trailer.headerChecksum !== result.header.checksum) {
    return damage(0, 'header and trailer belong to different files');
  }
  return readIndex(file, result.header, trailer, seed);
}

async function readIndex(
  file: OpenFile,
  header: FileHeader,
  trailer: Trailer,
  seed: ChecksumSeed,
): Promise<SnapshotResult> {
  const offset = trailer.indexOffset;
  const lengthBytes = trailer.fileBytes - TRAILER_BYTES - offset;
  const bytes = await readRange(file, offset, lengthBytes);
  const frame = decodeFrameHeader(bytes, 0, seed, offset);
  if (frame.kind !== 'frame') return damage(offset, 'there is no index where the trailer says');
  const isIndex =
    frame.header.kind === FRAME_INDEX &&
    frame.header.checksum === trailer.chain &&
    frame.header.sequence === BigInt(trailer.chunkCount) &&
    frame.header.decodedBytes === indexBytes(trailer.chunkCount) &&
    frame.header.payloadBytes === bytes.length - FRAME_HEADER_BYTES;
  if (!isIndex) return damage(offset, 'the index is not the one that the trailer names');
  const payloadOffset = offset + FRAME_HEADER_BYTES;
  const payload = decodePayload(
    bytes.subarray(FRAME_HEADER_BYTES),
    frame.header,
    seed,
    payloadOffset,
  );
  if (payload.kind !== 'payload') return damage(offset, payload.reason);
  const index = decodeIndex(payload.bytes, trailer.chunkCount, offset, header.version);
  if (typeof index === 'string') return damage(offset, index);
  if (index.totals.recordCount !== trailer.recordCount) {
    return damage(offset, 'index and trailer count different records');
  }
  const { fileBytes, chain } = trailer;
  return { kind: 'snapshot', header, index, fileBytes, chain };
}

/** A chunk as stored: checked, not decoded. */
export interface RawChunk {
  readonly kind: 'raw';
  readonly header: FrameHeader;
  readonly payload: Uint8Array;
}

// One per thread is enough: no await occurs between a chunk's decompression and its decoding.
const scratch = new Scratch();

/** The decompressed payload, valid until the next call. Undefined if it is not zstd. */
function decodeRaw({ header, payload }: RawChunk): Uint8Array | undefined {
  if (header.codec === CODEC_RAW) return payload;
  const decoded = scratch.take(header.decodedBytes);
  return decompressInto(decoded, payload) ? decoded : undefined;
}

/** Reads chunks by their index entries, one at a time. */
export class ChunkReader {
  readonly #file: OpenFile;
  readonly #window: FileWindow;
  readonly #seed: ChecksumSeed;
  readonly #memory: ColumnMemory;

  /** `mayBlock`: as for a `FileWindow`. `memory`: of the columns, default `own`. */
  constructor(
    file: OpenFile,
    fileBytes: number,
    storeId: Uint8Array,
    snapshotNumber: number,
    options: { readonly mayBlock?: boolean; readonly memory?: ColumnMemory } = {},
  ) {
    this.#file = file;
    this.#memory = options.memory ?? 'own';
    this.#window = new FileWindow(file, fileBytes, options.mayBlock ?? false);
    this.#seed = new ChecksumSeed(storeId, 'snapshot', snapshotNumber);
  }

  /**
   * Reads chunk `ordinal` and checks it against its index entry. The payload is valid until the
   * next call.
   */
  async readRaw(entry: IndexEntry, ordinal: number): Promise<RawChunk | SnapshotDamage> {
    return this.#check(await this.#window.at(entry.offset, entry.lengthBytes), entry, ordinal);
  }

  /** Like {@link read}, with blocking calls. The file must support them. */
  readSync(entry: IndexEntry, ordinal: number): Columns | SnapshotDamage {
    const bytes = new Uint8Array(entry.lengthBytes);
    const done = readFullySync(this.#file, bytes, entry.offset);
    const raw = this.#check(bytes.subarray(0, done), entry, ordinal);
    return raw.kind === 'corrupt' ? raw : this.decode(raw, entry);
  }

  #check(bytes: Uint8Array, entry: IndexEntry, ordinal: number): RawChunk | SnapshotDamage {
    if (bytes.length < entry.lengthBytes)
      return damage(entry.offset, 'the file ends inside a chunk');
    const frame = decodeFrameHeader(bytes, 0, this.#seed, entry.offset);
    if (frame.kind !== 'frame')
      return damage(entry.offset, 'there is no chunk where the index says');
    const { header } = frame;
    const isChunk =
      header.kind === FRAME_CHUNK &&
      header.checksum === entry.checksum &&
      header.sequence === BigInt(ordinal) &&
      header.recordCount === entry.recordCount &&
      header.payloadBytes === entry.lengthBytes - FRAME_HEADER_BYTES;
    if (!isChunk) return damage(entry.offset, 'the chunk is not the one that the index names');
    const payload = bytes.subarray(FRAME_HEADER_BYTES);
    const payloadOffset = entry.offset + FRAME_HEADER_BYTES;
    if (this.#seed.checksum(payload, payloadOffset) !== header.payloadChecksum) {
      return damage(entry.offset, 'the payload does not match its checksum');
    }
    return { kind: 'raw', header, payload };
  }

  /** Reads and decodes chunk `ordinal`. */
  async read(entry: IndexEntry, ordinal: number): Promise<Columns | SnapshotDamage> {
    const raw = await this.readRaw(entry, ordinal);
    return raw.kind === 'corrupt' ? raw : this.decode(raw, entry);
  }

  /**
   * Releases the reader's memory for reuse. The reader and its payloads must not be used
   * afterwards.
   */
  release(): void {
    this.#window.release();
  }

  decode(raw: RawChunk, entry: IndexEntry): Columns | SnapshotDamage {
    const decoded = decodeRaw(raw);
    if (decoded === undefined) {
      const reason = 'the payload does not decompress to the length in its header';
      return damage(entry.offset, reason);
    }
    const columns = decodeChunk(decoded, this.#memory);
    if (typeof columns === 'string') return damage(entry.offset, columns);
    const isAsIndexed =
      columns.recordCount === entry.recordCount &&
      columns.firstKey === entry.firstKey &&
      columns.lastKey === entry.lastKey &&
      columns.data.length === entry.dataBytes;
    if (!isAsIndexed) return damage(entry.offset, 'the keys of the chunk differ from the index');
    assert(columns.firstKey <= columns.lastKey, 'keys ascend');
    return columns;
  }
}
