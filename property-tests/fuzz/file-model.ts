import { viewOf } from '../../src/base/bytes.ts';
import { ChecksumSeed, STORE_ID_BYTES, type FileKind } from '../../src/format/checksum.ts';
import { decodeChunk } from '../../src/format/chunk.ts';
import { CODEC_ZSTD } from '../../src/format/compression.ts';
import { FILE_HEADER_BYTES } from '../../src/format/file-header.ts';
import {
  FRAME_BATCHES,
  FRAME_CHUNK,
  FRAME_HEADER_BYTES,
  FRAME_INDEX,
  FRAME_MAGIC,
  FRAME_SEAL,
} from '../../src/format/frame.ts';
import { TRAILER_BYTES } from '../../src/format/snapshot-index.ts';
import { compressed, decompressed } from './stored-payload.ts';

/** Offsets of the frame header fields that are computed from other bytes. */
export const PAYLOAD_BYTES_AT = 8;
export const DECODED_BYTES_AT = 12;
export const CHAIN_AT = 32;
const PAYLOAD_CHECKSUM_AT = 36;
const CHECKSUM_AT: number = FRAME_HEADER_BYTES - 4;

export interface FrameModel {
  /** The header's bytes; computed fields are corrected when the file is built. */
  readonly head: Uint8Array;
  /** Decoded if possible; else as stored. */
  payload: Uint8Array;
  readonly isDecoded: boolean;
  /** Offsets of fields that keep their value in `head`. */
  readonly forged: Set<number>;
  /** Changes the stored payload; the checksum is computed afterwards. */
  disturbStored: ((stored: Uint8Array) => Uint8Array) | undefined;
}

/** One of our files as parts that can be changed and assembled again. */
export interface FileModel {
  readonly kind: FileKind;
  readonly number: number;
  readonly header: Uint8Array;
  readonly frames: FrameModel[];
  /** The bytes after the frames: zeros, junk, or a snapshot's trailer. */
  tail: Uint8Array;
  /** Whether sequences and counts are corrected, so that readers reach the rows. */
  renumbers: boolean;
}

export function kindOf(frame: FrameModel): number {
  return frame.head[4]!;
}

function frameOf(head: Uint8Array, stored: Uint8Array): FrameModel {
  const decodedBytes = viewOf(head).getUint32(DECODED_BYTES_AT, true);
  const payload = head[5] === CODEC_ZSTD ? decompressed(stored, decodedBytes) : stored;
  return {
    head: head.slice(),
    payload: (payload ?? stored).slice(),
    isDecoded: payload !== undefined,
    forged: new Set(),
    disturbStored: undefined,
  };
}

/** Parses a log or snapshot up to the first invalid frame; undefined without a valid header. */
export function parseFile(
  bytes: Uint8Array,
  kind: FileKind,
  number: number,
): FileModel | undefined {
  if (bytes.length < FILE_HEADER_BYTES) return undefined;
  const frames: FrameModel[] = [];
  let offset = FILE_HEADER_BYTES;
  while (offset + FRAME_HEADER_BYTES <= bytes.length) {
    const head = bytes.subarray(offset, offset + FRAME_HEADER_BYTES);
    const payloadBytes = viewOf(head).getUint32(PAYLOAD_BYTES_AT, true);
    const end = offset + FRAME_HEADER_BYTES + payloadBytes;
    if (FRAME_MAGIC.some((byte, i) => head[i] !== byte) || end > bytes.length) break;
    frames.push(frameOf(head, bytes.subarray(offset + FRAME_HEADER_BYTES, end)));
    offset = end;
  }
  const header = bytes.slice(0, FILE_HEADER_BYTES);
  return { kind, number, header, frames, tail: bytes.slice(offset), renumbers: true };
}

/** Builds a file in which every checksum, length and offset is correct unless forged. */
export function buildFile(model: FileModel): Uint8Array {
  return new FileBuilder(model).build();
}

class FileBuilder {
  readonly #model: FileModel;
  readonly #seed: ChecksumSeed;
  readonly #parts: Uint8Array[] = [];
  readonly #chunks: {
    readonly offset: number;
    readonly frame: FrameModel;
    readonly lengthBytes: number;
    readonly checksum: number;
  }[] = [];
  #offset: number = FILE_HEADER_BYTES;
  #chain: number;
  #sequence: bigint;
  #groupCount = 0;
  #indexOffset = 0;

  constructor(model: FileModel) {
    this.#model = model;
    const header = model.header;
    const view = viewOf(header);
    const storeId = header.subarray(16, 16 + STORE_ID_BYTES);
    this.#seed = new ChecksumSeed(storeId, model.kind, model.number);
    this.#chain = this.#seed.checksum(header.subarray(0, FILE_HEADER_BYTES - 4), 0);
    view.setUint32(FILE_HEADER_BYTES - 4, this.#chain, true);
    this.#sequence = view.getBigUint64(64, true);
  }

  build(): Uint8Array {
    const headerChecksum = this.#chain;
    for (const frame of this.#model.frames) this.#add(frame);
    const { kind, header, tail } = this.#model;
    if (kind === 'snapshot' && tail.length >= TRAILER_BYTES) this.#endWith(headerChecksum);
    return new Uint8Array(Buffer.concat([header, ...this.#parts, tail]));
  }

  #add(frame: FrameModel): void {
    if (kindOf(frame) === FRAME_INDEX) this.#index(frame);
    if (this.#model.renumbers) this.#renumber(frame);
    const { head, payload, forged } = frame;
    const view = viewOf(head);
    let stored = frame.isDecoded && head[5] === CODEC_ZSTD ? compressed(payload) : payload;
    stored = frame.disturbStored?.(stored) ?? stored;
    const set = (at: number, value: number): void => {
      if (!forged.has(at)) view.setUint32(at, value, true);
    };
    set(PAYLOAD_BYTES_AT, stored.length);
    if (frame.isDecoded) set(DECODED_BYTES_AT, payload.length);
    set(CHAIN_AT, this.#chain);
    set(PAYLOAD_CHECKSUM_AT, this.#seed.checksum(stored, this.#offset + FRAME_HEADER_BYTES));
    const checksum = this.#seed.checksum(head.subarray(0, CHECKSUM_AT), this.#offset);
    view.setUint32(CHECKSUM_AT, checksum, true);
    const lengthBytes = FRAME_HEADER_BYTES + stored.length;
    if (kindOf(frame) === FRAME_CHUNK) {
      this.#chunks.push({ offset: this.#offset, frame, lengthBytes, checksum });
    } else if (kindOf(frame) === FRAME_INDEX) {
      this.#indexOffset = this.#offset;
    }
    this.#parts.push(head.slice(), stored);
    this.#chain = checksum;
    this.#offset += lengthBytes;
  }

  #renumber({ head }: FrameModel): void {
    const view = viewOf(head);
    const kind = head[4];
    if (kind === FRAME_BATCHES) {
      view.setBigUint64(16, this.#sequence + 1n, true);
      this.#sequence += BigInt(view.getUint32(24, true));
      this.#groupCount++;
    } else if (kind === FRAME_SEAL) {
      view.setBigUint64(16, this.#sequence, true);
      view.setUint32(28, this.#groupCount, true);
    } else {
      view.setBigUint64(16, BigInt(this.#chunks.length), true);
    }
  }

  /** Makes the index describe the chunks in the file, and their contents if they can be decoded. */
  #index(frame: FrameModel): void {
    if (!this.#model.renumbers || frame.forged.size > 0) return;
    const payload = new Uint8Array(40 * this.#chunks.length + 32);
    const view = viewOf(payload);
    let [records, data] = [0, 0];
    for (const [i, { offset, frame: chunk, lengthBytes, checksum }] of this.#chunks.entries()) {
      const at = 40 * i;
      payload.set(frame.payload.subarray(at, at + 40), at);
      view.setBigUint64(at, BigInt(offset), true);
      view.setUint32(at + 8, lengthBytes, true);
      view.setUint32(at + 32, checksum, true);
      const columns = decodeChunk(chunk.payload);
      if (typeof columns === 'object') {
        view.setUint32(at + 12, columns.recordCount, true);
        view.setBigUint64(at + 16, columns.firstKey, true);
        view.setBigUint64(at + 24, columns.lastKey, true);
        view.setUint32(at + 36, columns.data.length, true);
      }
      records += view.getUint32(at + 12, true);
      data += view.getUint32(at + 36, true);
    }
    view.setBigUint64(40 * this.#chunks.length, BigInt(records), true);
    view.setBigUint64(40 * this.#chunks.length + 8, BigInt(data), true);
    frame.payload = payload;
    if (this.#model.tail.length >= TRAILER_BYTES) {
      viewOf(this.#model.tail).setBigUint64(16, BigInt(records), true);
    }
  }

  #endWith(headerChecksum: number): void {
    const { tail } = this.#model;
    const view = viewOf(tail);
    const fileBytes = this.#offset + tail.length;
    if (this.#model.renumbers) {
      view.setBigUint64(8, BigInt(this.#indexOffset), true);
      view.setBigUint64(24, BigInt(fileBytes), true);
      view.setUint32(32, this.#chunks.length, true);
      view.setUint32(36, this.#chain, true);
      view.setUint32(40, headerChecksum, true);
    }
    const covered = tail.subarray(0, TRAILER_BYTES - 4);
    view.setUint32(
      TRAILER_BYTES - 4,
      this.#seed.checksum(covered, fileBytes - TRAILER_BYTES),
      true,
    );
  }
}
