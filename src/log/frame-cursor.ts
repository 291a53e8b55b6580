import { ChecksumSeed } from '../format/checksum.ts';
import { FILE_HEADER_BYTES, rowKindsOf, type FileHeader } from '../format/file-header.ts';
import {
  decodeFrameHeader,
  decodePayload,
  FLAG_PIGGYBACKED,
  FRAME_BATCHES,
  FRAME_HEADER_BYTES,
  FRAME_SEAL,
  type FrameHeader,
} from '../format/frame.ts';
import { decodeGroup, type GroupRows, type RowKinds } from '../format/group-rows.ts';
import type { Scratch } from '../format/scratch.ts';
import type { FileWindow } from '../fs/file-window.ts';
import { findLaterFrames } from './frame-search.ts';
import type { LogPosition } from './log-report.ts';

/** Since this version of logs, a group may follow another one that is not synced. */
const UNPROVEN_VERSION = 2;

/**
 * A frame whose checksums are valid, but which is invalid at its position. No torn write leaves
 * this.
 */
export interface CorruptFrame {
  readonly kind: 'corrupt';
  readonly offset: number;
  readonly reason: string;
}

/** Bytes that are not a complete frame: the result of a torn write, or of damage. */
export interface TornFrame {
  readonly kind: 'torn';
  readonly reason: string;
}

/**
 * What follows the cursor. A group's header is valid at this position; its payload has not been
 * read.
 */
export type FrameAhead =
  | { readonly kind: 'group'; readonly header: FrameHeader }
  | { readonly kind: 'seal'; readonly header: FrameHeader }
  /** Zeros, or the end of the file. */
  | { readonly kind: 'end' }
  | TornFrame
  | CorruptFrame;

export type TakenGroup =
  { readonly kind: 'group'; readonly group: GroupRows } | TornFrame | CorruptFrame;

/** The seal of the log. `isPiggybacked`: it was written together with the group before it. */
export type PassedSeal =
  { readonly kind: 'sealed'; readonly isPiggybacked: boolean } | CorruptFrame;

/** The position of the first frame of a log. */
export function startOf(header: FileHeader): LogPosition {
  return {
    offset: FILE_HEADER_BYTES,
    chain: header.checksum,
    lastSequence: header.predecessor.lastSequence,
    unprovenFrom: undefined,
    frameCount: 0,
    batchCount: 0,
    recordCount: 0,
  };
}

/**
 * End of the bytes that a group at `offset` proves synced. The file header is written together with
 * the first group, so the first group proves nothing.
 */
export function provenEnd(header: FrameHeader, offset: number): number {
  return offset === FILE_HEADER_BYTES ? 0 : offset - header.unprovenBytes;
}

/**
 * A position between two frames of one log, with the rules for the frame that may follow. All
 * sequential readers of a log are loops over this class, so recovery, the change feed and the tools
 * judge frames by the same rules. A caller calls `ahead`, then `take`, `skip` or `seal`, or stops.
 * The window is a parameter of each call, because the readable part of the file can grow.
 */
export class FrameCursor {
  readonly seed: ChecksumSeed;
  readonly #version: number;
  readonly #rowKinds: RowKinds;
  #position: LogPosition;

  constructor(header: FileHeader, start: LogPosition = startOf(header)) {
    this.seed = new ChecksumSeed(header.storeId, 'log', header.number);
    this.#version = header.version;
    this.#rowKinds = rowKindsOf(header.version);
    this.#position = start;
  }

  /** The position after the last frame that was passed. */
  get position(): LogPosition {
    return this.#position;
  }

  /** Reads the next frame's header. Does not move the cursor. */
  async ahead(window: FileWindow): Promise<FrameAhead> {
    const { offset } = this.#position;
    const head = await window.at(offset, FRAME_HEADER_BYTES);
    const result = decodeFrameHeader(head, 0, this.seed, offset);
    if (result.kind === 'corrupt') return { ...result, offset };
    if (result.kind !== 'frame') return result;
    const { header } = result;
    const reason = this.#misplaced(header);
    if (reason !== undefined) return { kind: 'corrupt', offset, reason };
    return { kind: header.kind === FRAME_SEAL ? 'seal' : 'group', header };
  }

  /** Reads the payload of the group whose header is ahead. Returns fewer bytes if the file ends. */
  payload(window: FileWindow, header: FrameHeader): Promise<Uint8Array> {
    return window.at(this.#position.offset + FRAME_HEADER_BYTES, header.payloadBytes);
  }

  /**
   * Checks the group whose header is ahead, and passes it if it is valid. With `scratch`, the rows
   * are valid until `scratch` or the window is used again; without it, they have their own buffer.
   * Synchronous, so that all scans of a thread can share one scratch buffer.
   */
  take(header: FrameHeader, payload: Uint8Array, scratch?: Scratch): TakenGroup {
    const { offset } = this.#position;
    const payloadOffset = offset + FRAME_HEADER_BYTES;
    if (payload.length < header.payloadBytes) return CUT_SHORT;
    const decoded = decodePayload(payload, header, this.seed, payloadOffset, scratch);
    if (decoded.kind === 'torn') return decoded;
    if (decoded.kind === 'corrupt') return { ...decoded, offset };
    const isShared = scratch === undefined && decoded.bytes.buffer === payload.buffer;
    const bytes = isShared ? decoded.bytes.slice() : decoded.bytes;
    const group = decodeGroup(bytes, header.batchCount, header.recordCount, this.#rowKinds);
    if (typeof group === 'string') return { kind: 'corrupt', offset, reason: group };
    this.#pass(header);
    return { kind: 'group', group };
  }

  /**
   * Passes the group whose header is ahead without reading its payload. Returns a fault if the file
   * ends within the payload.
   */
  skip(window: FileWindow, header: FrameHeader): TornFrame | undefined {
    const end = this.#position.offset + FRAME_HEADER_BYTES + header.payloadBytes;
    if (end > window.fileBytes) return CUT_SHORT;
    this.#pass(header);
    return undefined;
  }

  /**
   * Passes the seal whose header is ahead. No frame may follow it. Other bytes may: reserved space
   * has undefined content until its sync has completed.
   */
  async seal(window: FileWindow, header: FrameHeader): Promise<PassedSeal> {
    const { offset } = this.#position;
    this.#position = {
      ...this.#position,
      offset: offset + FRAME_HEADER_BYTES,
      chain: header.checksum,
    };
    const later = await findLaterFrames(window, offset, this.seed, 0);
    if (later.kind === 'none')
      return { kind: 'sealed', isPiggybacked: header.flags === FLAG_PIGGYBACKED };
    return { kind: 'corrupt', offset: later.offset, reason: 'there is a frame after the seal' };
  }

  #pass(header: FrameHeader): void {
    const { offset, lastSequence, frameCount, batchCount, recordCount } = this.#position;
    this.#position = {
      offset: offset + FRAME_HEADER_BYTES + header.payloadBytes,
      chain: header.checksum,
      lastSequence: lastSequence + BigInt(header.batchCount),
      unprovenFrom: provenEnd(header, offset),
      frameCount: frameCount + 1,
      batchCount: batchCount + header.batchCount,
      recordCount: recordCount + header.recordCount,
    };
  }

  /** Why a header with valid checksums is invalid at this position, or undefined. */
  #misplaced(header: FrameHeader): string | undefined {
    const { offset, chain, lastSequence, frameCount, unprovenFrom } = this.#position;
    if (header.chain !== chain) return 'the frame is not chained to the one before it';
    if (header.kind === FRAME_SEAL) {
      if (header.sequence !== lastSequence) return 'the seal names another last sequence';
      return header.recordCount === frameCount
        ? undefined
        : `the seal counts ${header.recordCount} frames, but the log has ${frameCount}`;
    }
    if (header.kind !== FRAME_BATCHES) return `the log has a frame of kind ${header.kind}`;
    if (header.unprovenBytes !== 0 && this.#version < UNPROVEN_VERSION) {
      return 'a reserved byte of the frame header is not zero';
    }
    if (provenEnd(header, offset) < (unprovenFrom ?? 0)) {
      return 'the frame records bytes as unproven that an earlier frame proves synced';
    }
    return header.sequence === lastSequence + 1n
      ? undefined
      : `the frame begins with sequence ${header.sequence}, not ${lastSequence + 1n}`;
  }
}

const CUT_SHORT: TornFrame = { kind: 'torn', reason: 'the file ends inside a frame' };
