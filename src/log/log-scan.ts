import { isZero } from '../base/bytes.ts';
import { beginsAsAncestor } from '../format/ancestor.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  type FileHeaderResult,
} from '../format/file-header.ts';
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
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { FileWindow } from '../fs/file-window.ts';
import { scanAncestorLog } from './ancestor-scan.ts';
import { findLaterFrames } from './later-frames.ts';
import type { LogEnding, LogScan, LogScanOptions } from './log-report.ts';

/** Reads a log from end to end. Changes nothing; rejects only with what the file system rejects. */
export async function scanLog(
  fs: FileSystem,
  path: string,
  options: LogScanOptions,
): Promise<LogScan> {
  const file = await fs.open(path, 'r');
  try {
    return await scanOpenLog(file, options);
  } finally {
    await file.close();
  }
}

async function scanOpenLog(file: OpenFile, options: LogScanOptions): Promise<LogScan> {
  const { sizeBytes } = await file.stat();
  const window = new FileWindow(file, sizeBytes);
  const head = await window.at(0, FILE_HEADER_BYTES);
  const result = decodeFileHeader(head, 'log', options.number);
  if (result.kind === 'header') return new LogScanner(window, result.header, options).scan();
  return scanWithoutHeader(window, head.slice(0, 8), result, options);
}

function nothingFound(
  window: FileWindow,
  number: number,
  format: LogScan['format'],
  ending: LogEnding,
): LogScan {
  return {
    number,
    fileBytes: window.fileBytes,
    format,
    header: undefined,
    frameCount: 0,
    batchCount: 0,
    recordCount: 0,
    lastSequence: 0n,
    chain: 0,
    validBytes: 0,
    unprovenFrom: undefined,
    ending,
  };
}

async function scanWithoutHeader(
  window: FileWindow,
  head: Uint8Array,
  result: Exclude<FileHeaderResult, { kind: 'header' }>,
  options: LogScanOptions,
): Promise<LogScan> {
  const { number, storeId } = options;
  if (result.kind === 'unsupported') {
    return nothingFound(window, number, 'lodestore', result);
  }
  if (result.kind === 'corrupt') {
    return nothingFound(window, number, 'lodestore', { ...result, offset: 0 });
  }
  const seed = storeId === undefined ? undefined : new ChecksumSeed(storeId, 'log', number);
  const later = await findLaterFrames(window, 0, seed, 1);
  if (later.kind === 'none') {
    if (result.kind === 'empty' && (await isZeroToEnd(window, 0))) {
      return nothingFound(window, number, 'empty', { kind: 'end' });
    }
    if (result.kind === 'foreign' && beginsAsAncestor(head))
      return scanAncestorLog(window, options);
  }
  const reason = result.kind === 'torn' ? result.reason : 'there is no file header';
  return nothingFound(window, number, 'lodestore', { kind: 'broken', offset: 0, reason, later });
}

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
function provenEnd(header: FrameHeader, offset: number): number {
  return offset === FILE_HEADER_BYTES ? 0 : offset - header.unprovenBytes;
}

class LogScanner {
  readonly #window: FileWindow;
  readonly #header: FileHeader;
  readonly #options: LogScanOptions;
  readonly #seed: ChecksumSeed;
  #offset = FILE_HEADER_BYTES;
  #chain: number;
  #lastSequence: bigint;
  #frameCount = 0;
  #batchCount = 0;
  #recordCount = 0;
  #unprovenFrom: number | undefined;

  constructor(window: FileWindow, header: FileHeader, options: LogScanOptions) {
    this.#window = window;
    this.#header = header;
    this.#options = options;
    this.#seed = new ChecksumSeed(header.storeId, 'log', header.number);
    this.#chain = header.checksum;
    this.#lastSequence = header.predecessor.lastSequence;
  }

  async scan(): Promise<LogScan> {
    let ending: LogEnding | undefined;
    while (ending === undefined) {
      this.#options.signal?.throwIfAborted();
      ending = await this.#step();
      this.#options.onProgress?.(this.#offset);
    }
    return {
      number: this.#header.number,
      fileBytes: this.#window.fileBytes,
      format: 'lodestore',
      header: this.#header,
      frameCount: this.#frameCount,
      batchCount: this.#batchCount,
      recordCount: this.#recordCount,
      lastSequence: this.#lastSequence,
      chain: this.#chain,
      validBytes: this.#offset,
      unprovenFrom: this.#unprovenFrom,
      ending,
    };
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
    const payloadOffset = this.#offset + FRAME_HEADER_BYTES;
    const payload = await this.#window.at(payloadOffset, header.payloadBytes);
    if (payload.length < header.payloadBytes) return this.#broken('the file ends inside a frame');
    const decoded = decodePayload(payload, header, this.#seed, payloadOffset);
    if (decoded.kind === 'torn') return this.#broken(decoded.reason);
    if (decoded.kind === 'corrupt') return { ...decoded, offset: this.#offset };
    const group = decodeGroup(decoded.bytes, header.batchCount, header.recordCount);
    if (typeof group === 'string') {
      return { kind: 'corrupt', offset: this.#offset, reason: group };
    }
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
