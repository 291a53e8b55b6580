import { assert } from '../base/assert.ts';
import { decodeFileHeader, FILE_HEADER_BYTES, type Predecessor } from '../format/file-header.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { FileWindow } from '../fs/file-window.ts';
import { FrameCursor, type CorruptFrame } from './frame-cursor.ts';

/** The batches of one frame, in buffers of their own. */
export interface LogGroup {
  readonly firstSequence: bigint;
  readonly rows: Uint8Array;
  /** Rows of each batch, in order. */
  readonly batchRecordCounts: Uint32Array;
}

/** What the next frame of a log is, as its bytes below the limit say. */
export type LogStep =
  | { readonly kind: 'group'; readonly group: LogGroup }
  /** A group of batches that were not asked for: only its header has been read. */
  | { readonly kind: 'skipped' }
  | { readonly kind: 'sealed' }
  /** Zeros, a frame cut short, or bytes that are none. Below what is durable that is damage. */
  | { readonly kind: 'unfinished'; readonly reason: string }
  | CorruptFrame;

/**
 * Reads one log from its beginning, group by group, up to limits that grow. Changes nothing. What
 * it keeps between two steps is an open file and where it stands, and up to 1 MiB or a frame until
 * `rest`.
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

  /** Opens a log. Rejects with the system's error. */
  static async open(
    fs: FileSystem,
    path: string,
    number: number,
    storeId: Uint8Array,
  ): Promise<LogReader> {
    return new LogReader(await fs.open(path, 'r'), path, number, storeId);
  }

  /** Where the next frame begins. */
  get offset(): number {
    return this.#cursor?.position.offset ?? 0;
  }

  /** What the log says of the one before it; undefined until the first step has read it. */
  get predecessor(): Predecessor | undefined {
    return this.#predecessor;
  }

  /** What the next log says of this one, if this one ends here. */
  get asPredecessor(): Predecessor {
    assert(this.#cursor !== undefined, 'the file header has been read');
    const { offset, lastSequence, chain } = this.#cursor.position;
    return { number: this.number, lengthBytes: offset, lastSequence, chain };
  }

  /** Bytes of the file, reserved ones included. */
  async fileBytes(): Promise<number> {
    return (await this.#file.stat()).sizeBytes;
  }

  /** Reads the file header: to be called first, once `limitBytes` reach behind it. */
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

  /** Reads one frame. Groups that end at or before `after` are passed over by their headers. */
  async next(limitBytes: number, after: bigint): Promise<LogStep> {
    const cursor = this.#cursor;
    if (cursor === undefined) return this.begin(limitBytes);
    const window = this.#windowUpTo(limitBytes);
    const ahead = await cursor.ahead(window);
    if (ahead.kind === 'end') {
      return { kind: 'unfinished', reason: 'zeros stand where a frame would' };
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

  /** Lets go of what has been read ahead. */
  rest(): void {
    this.#window = undefined;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** What has been read ahead below a lower limit stays what it was; more is read anew. */
  #windowUpTo(limitBytes: number): FileWindow {
    if (this.#window?.fileBytes !== limitBytes) {
      this.#window = new FileWindow(this.#file, limitBytes);
    }
    return this.#window;
  }
}
