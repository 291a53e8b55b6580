import { assert } from '../base/assert.ts';
import { viewOf } from '../base/bytes.ts';
import { MAX_U64 } from '../base/limits.ts';
import type { ChecksumSeed } from '../format/checksum.ts';
import { waited, type Flow } from '../base/flow.ts';
import { CODEC_RAW, CODEC_ZSTD, compressedBound, compressing } from '../format/compression.ts';
import { encodeFileHeader, FILE_HEADER_BYTES, type NewFileHeader } from '../format/file-header.ts';
import {
  encodeFrame,
  FLAG_PIGGYBACKED,
  FRAME_BATCHES,
  FRAME_HEADER_BYTES,
  FRAME_SEAL,
} from '../format/frame.ts';

/** The state of the log before a write: what the next frame is chained to. */
export interface WritePosition {
  readonly offset: number;
  readonly chain: number;
  readonly frameCount: number;
  readonly lastSequence: bigint;
}

/** A group's rows and table as a frame stores them. */
export interface StoredPayload {
  readonly codec: number;
  readonly payload: Uint8Array;
}

export interface Group {
  /** Rows, then the batch table if there is more than one batch. */
  readonly decoded: Uint8Array;
  readonly batchCount: number;
  readonly recordCount: number;
  /** Of a group that another store has compressed: it is written as it is. */
  readonly stored?: StoredPayload | undefined;
  /** Whether a row deletes an interval of keys. Default: none does. */
  readonly hasIntervals?: boolean | undefined;
}

/** The bytes of one write, and the state of the log when they are durable. */
export interface EncodedWrite {
  /** Valid until the encoder is used again. */
  readonly bytes: Uint8Array;
  readonly after: WritePosition;
}

/** Yields to the event loop. Undefined if the caller cannot yield. */
export type Pause = (() => Promise<void>) | undefined;

/** Encodes a group, a file header and a seal as one write. Reuses its buffer. */
export class GroupEncoder {
  #buffer: Uint8Array = new Uint8Array(64 * 1024);
  readonly #level: number;
  readonly #pause: Pause;

  /** `level`: of zstd. `pause` is called between slices of a large group. */
  constructor(level = 1, pause?: Pause) {
    this.#level = level;
    this.#pause = pause;
  }

  /** Encodes the given parts, in this order: file header, group, seal. */
  *encode(
    position: WritePosition,
    seed: ChecksumSeed,
    parts: {
      readonly header?: NewFileHeader | undefined;
      /** Of the log, for the header. */
      readonly version?: number | undefined;
      readonly group?: Group | undefined;
      readonly seal: boolean;
      /**
       * Bytes before the group that are not known to be synced. Must be 0 for a seal. Default 0.
       */
      readonly unprovenBytes?: number | undefined;
    },
  ): Flow<EncodedWrite> {
    const groupBytes = parts.group?.decoded.length ?? 0;
    this.#reserve(FILE_HEADER_BYTES + 2 * FRAME_HEADER_BYTES + compressedBound(groupBytes));
    let after = position;
    let used = 0;
    if (parts.header !== undefined) {
      const chain = encodeFileHeader(this.#buffer, parts.header, parts.version);
      used = FILE_HEADER_BYTES;
      after = { ...after, offset: after.offset + used, chain };
    }
    if (parts.group !== undefined) {
      const start = after.offset;
      const group = { ...parts.group, unprovenBytes: parts.unprovenBytes };
      after = yield* this.#encodeGroup(used, after, seed, group);
      used += after.offset - start;
    }
    if (parts.seal) {
      after = this.#encodeSeal(used, after, seed, parts.group !== undefined);
      used += FRAME_HEADER_BYTES;
    }
    return { bytes: this.#buffer.subarray(0, used), after };
  }

  #reserve(lengthBytes: number): void {
    if (this.#buffer.length < lengthBytes) this.#buffer = new Uint8Array(lengthBytes);
  }

  *#encodeGroup(
    used: number,
    position: WritePosition,
    seed: ChecksumSeed,
    group: Group & { readonly unprovenBytes: number | undefined },
  ): Flow<WritePosition> {
    const { decoded, batchCount, recordCount, unprovenBytes } = group;
    const lastSequence = position.lastSequence + BigInt(batchCount);
    assert(lastSequence <= MAX_U64, 'sequences are u64');
    const payload = this.#buffer.subarray(used + FRAME_HEADER_BYTES);
    const { codec, payloadBytes } =
      group.stored === undefined
        ? yield* compressGroup(payload, decoded, this.#level, this.#pause)
        : copyStored(payload, group.stored);
    const checksum = encodeFrame(
      this.#buffer,
      used,
      {
        kind: FRAME_BATCHES,
        codec,
        flags: 0,
        payloadBytes,
        decodedBytes: decoded.length,
        sequence: position.lastSequence + 1n,
        batchCount,
        recordCount,
        chain: position.chain,
        unprovenBytes,
      },
      seed,
      position.offset,
    );
    return {
      offset: position.offset + FRAME_HEADER_BYTES + payloadBytes,
      chain: checksum,
      frameCount: position.frameCount + 1,
      lastSequence,
    };
  }

  #encodeSeal(
    used: number,
    position: WritePosition,
    seed: ChecksumSeed,
    isPiggybacked: boolean,
  ): WritePosition {
    const checksum = encodeFrame(
      this.#buffer,
      used,
      {
        kind: FRAME_SEAL,
        codec: CODEC_RAW,
        flags: isPiggybacked ? FLAG_PIGGYBACKED : 0,
        payloadBytes: 0,
        decodedBytes: 0,
        sequence: position.lastSequence,
        batchCount: 0,
        recordCount: position.frameCount,
        chain: position.chain,
      },
      seed,
      position.offset,
    );
    return { ...position, offset: position.offset + FRAME_HEADER_BYTES, chain: checksum };
  }
}

interface PayloadSize {
  readonly codec: number;
  readonly payloadBytes: number;
}

function* compressGroup(
  target: Uint8Array,
  decoded: Uint8Array,
  level: number,
  pause: Pause,
): Flow<PayloadSize> {
  const compressedBytes = yield* waited(compressing(target, decoded, level, pause));
  if (compressedBytes >= 0) return { codec: CODEC_ZSTD, payloadBytes: compressedBytes };
  target.set(decoded);
  return { codec: CODEC_RAW, payloadBytes: decoded.length };
}

function copyStored(target: Uint8Array, { codec, payload }: StoredPayload): PayloadSize {
  target.set(payload);
  return { codec, payloadBytes: payload.length };
}

/** Writes the table of batch sizes after the rows of a group. */
export function writeBatchTable(
  decoded: Uint8Array,
  rowsBytes: number,
  recordCounts: readonly number[],
): void {
  if (recordCounts.length < 2) return;
  const view = viewOf(decoded);
  recordCounts.forEach((count, i) => view.setUint32(rowsBytes + 4 * i, count, true));
}
