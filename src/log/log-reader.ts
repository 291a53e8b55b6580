import { ChecksumSeed } from '../format/checksum.ts';
import { decodeFileHeader, FILE_HEADER_BYTES, type Predecessor } from '../format/file-header.ts';
import {
  decodeFrameHeader,
  decodePayload,
  FRAME_BATCHES,
  FRAME_HEADER_BYTES,
  FRAME_SEAL,
  type FrameHeader,
} from '../format/frame.ts';
import { decodeGroup } from '../format/rows.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { FileWindow } from '../fs/file-window.ts';

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
  /** Checksums hold, and still it cannot stand here. */
  | { readonly kind: 'corrupt'; readonly reason: string };

/**
 * Reads one log from its beginning, group by group, up to limits that grow. Changes nothing. What it keeps
 * between two steps is an open file and where it stands, and up to 1 MiB or a frame until `rest`.
 */
export class LogReader {
  readonly number: number;
  readonly path: string;
  readonly #file: OpenFile;
  readonly #storeId: Uint8Array;
  #window: FileWindow | undefined;
  #seed: ChecksumSeed | undefined;
  #predecessor: Predecessor | undefined;
  #offset = 0;
  #chain = 0;
  #frameCount = 0;
  #lastSequence = 0n;

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
    return this.#offset;
  }

  /** What the log says of the one before it; undefined until the first step has read it. */
  get predecessor(): Predecessor | undefined {
    return this.#predecessor;
  }

  /** What the next log says of this one, if this one ends here. */
  get asPredecessor(): Predecessor {
    return {
      number: this.number,
      lengthBytes: this.#offset,
      lastSequence: this.#lastSequence,
      chain: this.#chain,
    };
  }

  /** Bytes of the file, reserved ones included. */
  async fileBytes(): Promise<number> {
    return (await this.#file.stat()).sizeBytes;
  }

  /** Reads the file header: to be called first, once `limitBytes` reach behind it. */
  async begin(limitBytes: number): Promise<Exclude<LogStep, { kind: 'group' | 'sealed' }>> {
    const head = await this.#windowUpTo(limitBytes).at(0, FILE_HEADER_BYTES);
    const result = decodeFileHeader(head, 'log', this.number);
    if (result.kind === 'corrupt') return result;
    if (result.kind !== 'header') {
      return { kind: 'unfinished', reason: 'there is no file header of this format' };
    }
    const { header } = result;
    if (Buffer.compare(header.storeId, this.#storeId) !== 0) {
      return { kind: 'corrupt', reason: 'the log belongs to another store' };
    }
    this.#seed = new ChecksumSeed(header.storeId, 'log', this.number);
    this.#predecessor = header.predecessor;
    this.#offset = FILE_HEADER_BYTES;
    this.#chain = header.checksum;
    this.#lastSequence = header.predecessor.lastSequence;
    return { kind: 'skipped' };
  }

  /** Reads one frame. Groups that end at or before `after` are passed over by their headers. */
  async next(limitBytes: number, after: bigint): Promise<LogStep> {
    if (this.#seed === undefined) return this.begin(limitBytes);
    const window = this.#windowUpTo(limitBytes);
    const head = await window.at(this.#offset, FRAME_HEADER_BYTES);
    const result = decodeFrameHeader(head, 0, this.#seed, this.#offset);
    if (result.kind === 'end') {
      return { kind: 'unfinished', reason: 'zeros stand where a frame would' };
    }
    if (result.kind === 'torn') return { kind: 'unfinished', reason: result.reason };
    if (result.kind === 'corrupt') return result;
    const { header } = result;
    const misplaced = this.#misplaced(header);
    if (misplaced !== undefined) return { kind: 'corrupt', reason: misplaced };
    if (header.kind === FRAME_SEAL) {
      this.#pass(header);
      return { kind: 'sealed' };
    }
    return this.#group(window, this.#seed, header, after);
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

  #misplaced(header: FrameHeader): string | undefined {
    if (header.chain !== this.#chain) return 'the frame is not chained to the one before it';
    if (header.kind === FRAME_SEAL) {
      const isRight =
        header.sequence === this.#lastSequence && header.recordCount === this.#frameCount;
      return isRight ? undefined : 'the seal does not belong to the frames before it';
    }
    if (header.kind !== FRAME_BATCHES) return `a frame of kind ${header.kind} stands in a log`;
    return header.sequence === this.#lastSequence + 1n
      ? undefined
      : `the frame begins with sequence ${header.sequence}, not ${this.#lastSequence + 1n}`;
  }

  async #group(
    window: FileWindow,
    seed: ChecksumSeed,
    header: FrameHeader,
    after: bigint,
  ): Promise<LogStep> {
    const { batchCount, recordCount, payloadBytes } = header;
    const payloadOffset = this.#offset + FRAME_HEADER_BYTES;
    if (header.sequence + BigInt(batchCount) - 1n <= after) {
      if (payloadOffset + payloadBytes > window.fileBytes) return CUT_SHORT;
      this.#pass(header);
      return { kind: 'skipped' };
    }
    const payload = await window.at(payloadOffset, payloadBytes);
    if (payload.length < payloadBytes) return CUT_SHORT;
    const decoded = decodePayload(payload, header, seed, payloadOffset);
    if (decoded.kind === 'torn') return { kind: 'unfinished', reason: decoded.reason };
    if (decoded.kind === 'corrupt') return decoded;
    const isView = decoded.bytes.buffer === payload.buffer;
    const bytes = isView ? decoded.bytes.slice() : decoded.bytes;
    const group = decodeGroup(bytes, batchCount, recordCount);
    if (typeof group === 'string') return { kind: 'corrupt', reason: group };
    this.#pass(header);
    return { kind: 'group', group: { firstSequence: header.sequence, ...group } };
  }

  #pass(header: FrameHeader): void {
    this.#offset += FRAME_HEADER_BYTES + header.payloadBytes;
    this.#chain = header.checksum;
    if (header.kind === FRAME_SEAL) return;
    this.#frameCount++;
    this.#lastSequence += BigInt(header.batchCount);
  }
}

const CUT_SHORT: LogStep = { kind: 'unfinished', reason: 'the file ends inside a frame' };
