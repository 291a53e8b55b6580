import { assert } from '../base/assert.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import { decodeFileHeader, FILE_HEADER_BYTES, type Predecessor } from '../format/file-header.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { FileWindow } from '../fs/file-window.ts';
import { FrameCursor, type CorruptFrame, type PassedSeal } from './frame-cursor.ts';
import { findLaterFrames } from './frame-search.ts';
import type { LaterFrames } from './log-report.ts';

/** The batches of one frame, in their own buffers. */
export interface LogGroup {
  readonly firstSequence: bigint;
  readonly rows: Uint8Array;
  /** Rows of each batch, in order. */
  readonly batchRecordCounts: Uint32Array;
}

/** The next frame of a log, judged by its bytes below the limit. */
export type LogStep =
  | { readonly kind: 'group'; readonly group: LogGroup }
  /** A group of batches that were not requested: only its header has been read. */
  | { readonly kind: 'skipped' }
  | PassedSeal
  /** Zeros, an incomplete frame, or other bytes. Within the durable bytes this is damage. */
  | { readonly kind: 'unfinished'; readonly reason: string }
  | CorruptFrame;

/**
 * Reads one log from its start, group by group, up to limits that grow. Changes nothing. Between
 * two steps it keeps an open file, its position, and, until `rest`, up to 1 MiB or one frame.
 */
export class LogReader {
  readonly number: number;
  readonly path: string;
  readonly #file: OpenFile;
  readonly #storeId: Uint8Array;
  #window: FileWindow | undefined;
  #predecessor: Predecessor | undefined;
  /** Undefined until the file header has been read. */
  #cursor: FrameCursor | undefined;

  private constructor(file: OpenFile, path: string, number: number, storeId: Uint8Array) {
    this.#file = file;
    this.path = path;
    this.number = number;
    this.#storeId = storeId;
  }

  /** Opens a log. Rejects with the system error. */
  static async open(
    fs: FileSystem,
    path: string,
    number: number,
    storeId: Uint8Array,
  ): Promise<LogReader> {
    return new LogReader(await fs.open(path, 'r'), path, number, storeId);
  }

  /** Offset of the next frame. */
  get offset(): number {
    return this.#cursor?.position.offset ?? 0;
  }

  /** Where the bytes end that a later frame proves synced; 0 where none does. */
  get provenBytes(): number {
    return this.#cursor?.position.unprovenFrom ?? 0;
  }

  /** The predecessor according to the log's header. Undefined until the first step has read it. */
  get predecessor(): Predecessor | undefined {
    return this.#predecessor;
  }

  /** The fields by which the next log refers to this one, if this one ends here. */
  get asPredecessor(): Predecessor {
    assert(this.#cursor !== undefined, 'the file header has been read');
    const { offset, lastSequence, chain } = this.#cursor.position;
    return { number: this.number, lengthBytes: offset, lastSequence, chain };
  }

  /** Length of the file, including reserved bytes. */
  async fileBytes(): Promise<number> {
    return (await this.#file.stat()).sizeBytes;
  }

  /** Reads the file header. Call it first, when `limitBytes` includes the header. */
  async begin(limitBytes: number): Promise<Exclude<LogStep, { kind: 'group' | 'sealed' }>> {
    const head = await this.#windowUpTo(limitBytes).at(0, FILE_HEADER_BYTES);
    const result = decodeFileHeader(head, 'log', this.number);
    if (result.kind === 'corrupt') return { ...result, offset: 0 };
    if (result.kind !== 'header') {
      return { kind: 'unfinished', reason: 'there is no file header of this format' };
    }
    const { header } = result;
    if (Buffer.compare(header.storeId, this.#storeId) !== 0) {
      return { kind: 'corrupt', offset: 0, reason: 'the log belongs to another store' };
    }
    this.#predecessor = header.predecessor;
    this.#cursor = new FrameCursor(header);
    return { kind: 'skipped' };
  }

  /** Reads one frame. Groups that end at or before `after` are skipped by their headers. */
  async next(limitBytes: number, after: bigint): Promise<LogStep> {
    const cursor = this.#cursor;
    if (cursor === undefined) return this.begin(limitBytes);
    const window = this.#windowUpTo(limitBytes);
    const ahead = await cursor.ahead(window);
    if (ahead.kind === 'end') {
      return { kind: 'unfinished', reason: 'there are zeros instead of a frame' };
    }
    if (ahead.kind === 'torn') return { kind: 'unfinished', reason: ahead.reason };
    if (ahead.kind === 'corrupt') return ahead;
    const { header } = ahead;
    if (ahead.kind === 'seal') return cursor.seal(window, header);
    const { sequence, batchCount } = header;
    const isWanted = sequence + BigInt(batchCount) - 1n > after;
    const found = isWanted
      ? cursor.take(header, await cursor.payload(window, header))
      : cursor.skip(window, header);
    if (found === undefined) return { kind: 'skipped' };
    if (found.kind === 'torn') return { kind: 'unfinished', reason: found.reason };
    if (found.kind === 'corrupt') return found;
    return { kind: 'group', group: { firstSequence: sequence, ...found.group } };
  }

  /**
   * Searches for frames of this log after the point that it has reached, or after a file header
   * that is not valid. Reads the whole rest of the file.
   */
  laterFrames(limitBytes: number): Promise<LaterFrames> {
    const window = this.#windowUpTo(limitBytes);
    const { offset, frameCount } = this.#cursor?.position ?? { offset: 0, frameCount: 0 };
    const seed = new ChecksumSeed(this.#storeId, 'log', this.number);
    return findLaterFrames(window, offset, seed, frameCount + 1);
  }

  /** Frees the bytes that were read ahead. */
  rest(): void {
    this.#window = undefined;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /**
   * With a new limit, bytes are read again, because those beyond the old limit may have changed.
   */
  #windowUpTo(limitBytes: number): FileWindow {
    if (this.#window?.fileBytes !== limitBytes) {
      this.#window = new FileWindow(this.#file, limitBytes);
    }
    return this.#window;
  }
}
