import { assert } from '../base/assert.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import { chunkBoundBytes, encodeChunk } from '../format/chunk.ts';
import type { Columns } from '../format/columns.ts';
import { sumOfColumns } from '../format/columns-sum.ts';
import { CODEC_RAW, CODEC_ZSTD, compressedBound, compressInto } from '../format/compression.ts';
import { ContentSum } from '../format/content-sum.ts';
import { encodeFileHeader, FILE_HEADER_BYTES, type NewFileHeader } from '../format/file-header.ts';
import {
  encodeFrame,
  FRAME_CHUNK,
  FRAME_HEADER_BYTES,
  FRAME_INDEX,
  type FrameHeader,
} from '../format/frame.ts';
import {
  encodeIndex,
  encodeTrailer,
  TRAILER_BYTES,
  type IndexEntry,
  type SnapshotTotals,
} from '../format/snapshot-index.ts';
import type { OpenFile } from '../fs/file-system.ts';
import { writeFully } from '../fs/write.ts';

const FLUSH_BYTES: number = 1024 * 1024;
/** The buffer doubles up to twice the flush size. A small store's snapshot fits the first one. */
const FIRST_BUFFER_BYTES: number = 16 * 1024;
const LARGEST_BUFFER_BYTES: number = 2 * FLUSH_BYTES;
const SNAPSHOT_LEVEL = 1;
/**
 * A sync of 96 MiB delays other syncs of the device by 50 ms and more, one of 4 MiB by a few ms.
 */
const SYNC_BYTES: number = 4 * 1024 * 1024;

/** What the finished file must hold when it is read back. */
export interface WrittenSnapshot {
  readonly fileBytes: number;
  readonly entries: readonly IndexEntry[];
  readonly totals: SnapshotTotals;
}

/** A chunk's payload from another snapshot, copied without decoding. */
export interface StoredChunk {
  readonly payload: Uint8Array;
  readonly header: FrameHeader;
  readonly firstKey: bigint;
  readonly lastKey: bigint;
  readonly dataBytes: number;
}

/**
 * Writes a snapshot's chunks in key order, then its index and trailer. It needs memory for one
 * chunk and a buffer. A long snapshot is synced while it grows. These syncs make no promise: they
 * keep each single sync short.
 */
export class SnapshotWriter {
  readonly #file: OpenFile;
  readonly #seed: ChecksumSeed;
  readonly #entries: IndexEntry[] = [];
  #buffer: Uint8Array = new Uint8Array(FIRST_BUFFER_BYTES);
  #scratch: Uint8Array = new Uint8Array(0);
  #used = 0;
  #flushedBytes = 0;
  #syncedBytes = 0;
  readonly #headerChecksum: number;
  #chain: number;
  #recordCount = 0;
  #dataBytes = 0;
  readonly #content: ContentSum = new ContentSum();

  constructor(file: OpenFile, header: NewFileHeader) {
    this.#file = file;
    this.#seed = new ChecksumSeed(header.storeId, 'snapshot', header.number);
    this.#headerChecksum = encodeFileHeader(this.#buffer, header);
    this.#chain = this.#headerChecksum;
    this.#used = FILE_HEADER_BYTES;
  }

  get chunkCount(): number {
    return this.#entries.length;
  }

  get lengthBytes(): number {
    return this.#flushedBytes + this.#used;
  }

  async writeChunk(columns: Columns): Promise<void> {
    this.#content.add(sumOfColumns(columns));
    const boundBytes = chunkBoundBytes(columns);
    if (this.#scratch.length < boundBytes) this.#scratch = new Uint8Array(boundBytes);
    const decoded = this.#scratch.subarray(0, encodeChunk(this.#scratch, columns));
    await this.#makeRoom(FRAME_HEADER_BYTES + compressedBound(decoded.length));
    const payload = this.#buffer.subarray(this.#used + FRAME_HEADER_BYTES);
    const compressedBytes = compressInto(payload, decoded, SNAPSHOT_LEVEL);
    if (compressedBytes < 0) payload.set(decoded);
    this.#appendChunk(
      {
        codec: compressedBytes < 0 ? CODEC_RAW : CODEC_ZSTD,
        payloadBytes: compressedBytes < 0 ? decoded.length : compressedBytes,
        decodedBytes: decoded.length,
        recordCount: columns.recordCount,
      },
      { ...columns, dataBytes: columns.data.length },
    );
  }

  /** Adds the content hash of all copied chunks. */
  addCopiedContent(content: ContentSum): void {
    this.#content.add(content);
  }

  /**
   * Copies a chunk that no update touches. {@link addCopiedContent} adds its records to the content
   * hash.
   */
  async copyChunk(chunk: StoredChunk): Promise<void> {
    await this.#makeRoom(FRAME_HEADER_BYTES + chunk.payload.length);
    this.#buffer.set(chunk.payload, this.#used + FRAME_HEADER_BYTES);
    const { codec, payloadBytes, decodedBytes, recordCount } = chunk.header;
    const fields = { codec, payloadBytes, decodedBytes, recordCount };
    this.#appendChunk(fields, chunk);
  }

  #appendChunk(
    fields: Pick<FrameHeader, 'codec' | 'payloadBytes' | 'decodedBytes' | 'recordCount'>,
    span: Pick<IndexEntry, 'firstKey' | 'lastKey' | 'dataBytes'>,
  ): void {
    const { firstKey, lastKey, dataBytes } = span;
    const previous = this.#entries.at(-1);
    assert(previous === undefined || previous.lastKey < firstKey, 'chunks ascend');
    const offset = this.lengthBytes;
    const lengthBytes = FRAME_HEADER_BYTES + fields.payloadBytes;
    const header = {
      ...fields,
      kind: FRAME_CHUNK,
      flags: 0,
      sequence: BigInt(this.#entries.length),
      batchCount: 0,
      chain: this.#chain,
    };
    this.#chain = encodeFrame(this.#buffer, this.#used, header, this.#seed, offset);
    this.#used += lengthBytes;
    this.#recordCount += fields.recordCount;
    const { recordCount } = fields;
    this.#dataBytes += dataBytes;
    const checksum = this.#chain;
    this.#entries.push({
      offset,
      lengthBytes,
      recordCount,
      firstKey,
      lastKey,
      checksum,
      dataBytes,
    });
  }

  /** Writes index and trailer and syncs the file. The caller closes it. */
  async finish(): Promise<WrittenSnapshot> {
    const totals = {
      recordCount: this.#recordCount,
      dataBytes: this.#dataBytes,
      contentHash: this.#content.value,
    };
    const index = encodeIndex({ entries: this.#entries, totals });
    await this.#makeRoom(FRAME_HEADER_BYTES + compressedBound(index.length));
    const indexOffset = this.lengthBytes;
    const payload = this.#buffer.subarray(this.#used + FRAME_HEADER_BYTES);
    const compressedBytes = compressInto(payload, index, SNAPSHOT_LEVEL);
    if (compressedBytes < 0) payload.set(index);
    const payloadBytes = compressedBytes < 0 ? index.length : compressedBytes;
    const header = {
      kind: FRAME_INDEX,
      codec: compressedBytes < 0 ? CODEC_RAW : CODEC_ZSTD,
      flags: 0,
      payloadBytes,
      decodedBytes: index.length,
      sequence: BigInt(this.#entries.length),
      batchCount: 0,
      recordCount: 0,
      chain: this.#chain,
    };
    this.#chain = encodeFrame(this.#buffer, this.#used, header, this.#seed, indexOffset);
    this.#used += FRAME_HEADER_BYTES + payloadBytes;
    await this.#writeTrailer(indexOffset);
    await this.#flush();
    await this.#file.dataSync();
    return { fileBytes: this.#flushedBytes, entries: this.#entries, totals };
  }

  async #writeTrailer(indexOffset: number): Promise<void> {
    const trailerBytes = TRAILER_BYTES;
    await this.#makeRoom(trailerBytes);
    const trailer = encodeTrailer(
      {
        indexOffset,
        chunkCount: this.#entries.length,
        recordCount: this.#recordCount,
        fileBytes: this.lengthBytes + trailerBytes,
        chain: this.#chain,
        headerChecksum: this.#headerChecksum,
      },
      this.#seed,
    );
    this.#buffer.set(trailer, this.#used);
    this.#used += trailer.length;
  }

  async #makeRoom(lengthBytes: number): Promise<void> {
    if (this.#used >= FLUSH_BYTES || this.#used + lengthBytes > LARGEST_BUFFER_BYTES) {
      await this.#flush();
    }
    const neededBytes = this.#used + lengthBytes;
    if (neededBytes <= this.#buffer.length) return;
    const doubled = Math.min(2 * this.#buffer.length, LARGEST_BUFFER_BYTES);
    const grown = new Uint8Array(Math.max(doubled, neededBytes));
    grown.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = grown;
  }

  async #flush(): Promise<void> {
    await writeFully(this.#file, this.#buffer.subarray(0, this.#used), this.#flushedBytes);
    this.#flushedBytes += this.#used;
    this.#used = 0;
    if (this.#flushedBytes - this.#syncedBytes < SYNC_BYTES) return;
    await this.#file.dataSync();
    this.#syncedBytes = this.#flushedBytes;
  }
}
