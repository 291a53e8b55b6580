import { isZero } from '../base/bytes.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import { FILE_HEADER_BYTES, type FileHeader } from '../format/file-header.ts';
import {
  decodeFrameHeader,
  decodePayload,
  FLAG_RIDES,
  FRAME_BATCHES,
  FRAME_HEADER_BYTES,
  FRAME_SEAL,
  type FrameHeader,
} from '../format/frame.ts';
import { decodeGroup } from '../format/rows.ts';
import { Scratch } from '../format/scratch.ts';
import type { FileWindow } from '../fs/file-window.ts';
import { findLaterFrames } from './later-frames.ts';
import type { LogEnding, LogPosition, LogScanOptions } from './log-report.ts';

/** True when nothing but zeros stands from `offset` to the end of the file. */
export async function isZeroToEnd(window: FileWindow, offset: number): Promise<boolean> {
  for (let position = offset; ;) {
    const bytes = await window.some(position);
    if (bytes.length === 0) return true;
    if (!isZero(bytes)) return false;
    position += bytes.length;
  }
}

/** Before this version of logs no group was written behind one that was not synced. */
const UNPROVEN_VERSION = 2;

/** Where the bytes end that a group proves synced. The file header goes out with the first group, if at all. */
export function provenEnd(header: FrameHeader, offset: number): number {
  return offset === FILE_HEADER_BYTES ? 0 : offset - header.unprovenBytes;
}

// Nothing waits while a group's rows are looked at, so one is enough for all scans of a thread.
const scratch = new Scratch();

/** Where the first frame stands. */
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

/** Walks over the frames of a log, from any place between two of them. */
export class LogScanner {
  readonly #window: FileWindow;
  readonly #header: FileHeader;
  readonly #options: LogScanOptions;
  readonly #seed: ChecksumSeed;
  #offset: number;
  #chain: number;
  #lastSequence: bigint;
  #frameCount: number;
  #batchCount: number;
  #recordCount: number;
  #unprovenFrom: number | undefined;

  constructor(
    window: FileWindow,
    header: FileHeader,
    options: LogScanOptions,
    start: LogPosition = startOf(header),
  ) {
    this.#window = window;
    this.#header = header;
    this.#options = options;
    this.#seed = new ChecksumSeed(header.storeId, 'log', header.number);
    this.#offset = start.offset;
    this.#chain = start.chain;
    this.#lastSequence = start.lastSequence;
    this.#frameCount = start.frameCount;
    this.#batchCount = start.batchCount;
    this.#recordCount = start.recordCount;
    this.#unprovenFrom = start.unprovenFrom;
  }

  /** Behind the last whole frame. */
  get position(): LogPosition {
    return {
      offset: this.#offset,
      chain: this.#chain,
      lastSequence: this.#lastSequence,
      unprovenFrom: this.#unprovenFrom,
      frameCount: this.#frameCount,
      batchCount: this.#batchCount,
      recordCount: this.#recordCount,
    };
  }

  async scanToEnd(): Promise<LogEnding> {
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const ending = await this.#step();
      this.#options.onProgress?.(this.#offset);
      if (ending !== undefined) return ending;
      const pause = this.#options.pause?.();
      if (pause !== undefined) await pause;
    }
  }

  /** Walks over whole groups that begin before `end`, up to the first thing that is none. */
  async scanGroups(end: number): Promise<void> {
    while (this.#offset < end) {
      this.#options.signal?.throwIfAborted();
      const head = await this.#window.at(this.#offset, FRAME_HEADER_BYTES);
      const result = decodeFrameHeader(head, 0, this.#seed, this.#offset);
      if (result.kind !== 'frame' || result.header.kind !== FRAME_BATCHES) return;
      if (this.#misplaced(result.header) !== undefined) return;
      if ((await this.#takeGroup(result.header)) !== undefined) return;
      this.#options.onProgress?.(this.#offset);
    }
  }

  async #step(): Promise<LogEnding | undefined> {
    const head = await this.#window.at(this.#offset, FRAME_HEADER_BYTES);
    const result = decodeFrameHeader(head, 0, this.#seed, this.#offset);
    if (result.kind === 'end') return this.#zeros();
    if (result.kind === 'torn') return this.#broken(result.reason);
    if (result.kind === 'corrupt') return { ...result, offset: this.#offset };
    const misplaced = this.#misplaced(result.header);
    if (misplaced !== undefined) {
      return { kind: 'corrupt', offset: this.#offset, reason: misplaced };
    }
    return result.header.kind === FRAME_SEAL
      ? this.#seal(result.header)
      : this.#group(result.header);
  }

  async #zeros(): Promise<LogEnding> {
    if (await isZeroToEnd(this.#window, this.#offset)) return { kind: 'end' };
    return this.#broken('zeros stand where a frame would, and other bytes behind them');
  }

  async #broken(reason: string): Promise<LogEnding> {
    const offset = this.#offset;
    const later = await findLaterFrames(this.#window, offset, this.#seed, this.#frameCount + 1);
    return { kind: 'broken', offset, reason, later };
  }

  /** Why a header whose checksum holds cannot stand here, or undefined. */
  #misplaced(header: FrameHeader): string | undefined {
    if (header.chain !== this.#chain) return 'the frame is not chained to the one before it';
    if (header.kind === FRAME_SEAL) {
      if (header.sequence !== this.#lastSequence) return 'the seal names another last sequence';
      return header.recordCount === this.#frameCount
        ? undefined
        : `the seal counts ${header.recordCount} frames where ${this.#frameCount} stand`;
    }
    if (header.kind !== FRAME_BATCHES) return `a frame of kind ${header.kind} stands in a log`;
    if (header.unprovenBytes !== 0 && this.#header.version < UNPROVEN_VERSION) {
      return 'a reserved byte of the frame header is not zero';
    }
    if (provenEnd(header, this.#offset) < (this.#unprovenFrom ?? 0)) {
      return 'the frame takes back what a frame before it proves synced';
    }
    return header.sequence === this.#lastSequence + 1n
      ? undefined
      : `the frame begins with sequence ${header.sequence}, not ${this.#lastSequence + 1n}`;
  }

  async #seal(header: FrameHeader): Promise<LogEnding> {
    const sealOffset = this.#offset;
    this.#offset += FRAME_HEADER_BYTES;
    this.#chain = header.checksum;
    // Space reserved ahead may hold anything when its sync never ended; only frames prove damage.
    const later = await findLaterFrames(this.#window, sealOffset, this.#seed, 0);
    if (later.kind === 'none') return { kind: 'sealed', rides: header.flags === FLAG_RIDES };
    return { kind: 'corrupt', offset: later.offset, reason: 'there is a frame behind the seal' };
  }

  async #group(header: FrameHeader): Promise<LogEnding | undefined> {
    const fault = await this.#takeGroup(header);
    if (fault === undefined) return undefined;
    const { kind, reason } = fault;
    return kind === 'torn' ? this.#broken(reason) : { kind, offset: this.#offset, reason };
  }

  /** What keeps the group from being whole, or undefined. */
  async #takeGroup(
    header: FrameHeader,
  ): Promise<{ readonly kind: 'torn' | 'corrupt'; readonly reason: string } | undefined> {
    const payloadOffset = this.#offset + FRAME_HEADER_BYTES;
    const payload = await this.#window.at(payloadOffset, header.payloadBytes);
    if (payload.length < header.payloadBytes) {
      return { kind: 'torn', reason: 'the file ends inside a frame' };
    }
    const decoded = decodePayload(payload, header, this.#seed, payloadOffset, scratch);
    if (decoded.kind !== 'payload') return decoded;
    const group = decodeGroup(decoded.bytes, header.batchCount, header.recordCount);
    if (typeof group === 'string') return { kind: 'corrupt', reason: group };
    this.#options.onGroup?.(group, header, this.#offset);
    const lengthBytes = FRAME_HEADER_BYTES + header.payloadBytes;
    this.#unprovenFrom = provenEnd(header, this.#offset);
    this.#offset += lengthBytes;
    this.#chain = header.checksum;
    this.#frameCount++;
    this.#batchCount += header.batchCount;
    this.#recordCount += header.recordCount;
    this.#lastSequence += BigInt(header.batchCount);
    return undefined;
  }
}
