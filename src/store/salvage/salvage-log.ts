import { equalBytes } from '../../base/bytes.ts';
import { finishSteps } from '../../base/steps.ts';
import { ChecksumSeed } from '../../format/checksum.ts';
import { FILE_HEADER_BYTES, rowKindsOf } from '../../format/file-header.ts';
import { FRAME_BATCHES, FRAME_SEAL } from '../../format/frame.ts';
import { decodeGroup, type RowKinds } from '../../format/group-rows.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { FileWindow, isZeroToEnd } from '../../fs/file-window.ts';
import { findFrames, type FoundFrame } from '../../log/frame-search.ts';
import { LogParts } from '../../runs/part-pile.ts';
import type { Loss } from '../recovery/recovery-report.ts';
import { salvageAncestorLog } from './salvage-ancestor-log.ts';
import { lossOf, type SalvagedLog } from './salvage-loss.ts';
import type { LoadedLog } from '../recovery/verdict.ts';

/**
 * A log of which nothing may be used, because it does not continue the previous log or is not of
 * this store.
 */
export function dropLog(log: LoadedLog, reason: string, lastSequence: bigint): SalvagedLog {
  return {
    parts: [],
    lastSequence,
    before: undefined,
    losses: [lossOf(log.path, reason, 0, log.scan.fileBytes, lastSequence + 1n, undefined)],
  };
}

/**
 * Keeps every valid group of a damaged log. The bytes between them are losses, with the missing
 * sequence numbers. `expectedSequence` is the last sequence number of the previous log.
 */
export async function salvageLog(
  fs: FileSystem,
  log: LoadedLog,
  storeId: Uint8Array,
  expectedSequence: bigint,
): Promise<SalvagedLog> {
  if (log.scan.format === 'ancestor') return salvageAncestorLog(fs, log);
  const { header } = log.scan;
  if (header !== undefined && !equalBytes(header.storeId, storeId)) {
    return dropLog(log, 'the log belongs to another store', expectedSequence);
  }
  const file = await fs.open(log.path, 'r');
  try {
    const window = new FileWindow(file, log.scan.fileBytes);
    return await new LogSalvage(log, expectedSequence).run(window, storeId);
  } finally {
    await file.close();
  }
}

class LogSalvage {
  readonly #log: LoadedLog;
  /** All kinds where the file header is lost: rows of one kind are never taken for the other. */
  readonly #rowKinds: RowKinds;
  readonly #parts: LogParts = new LogParts();
  readonly #losses: Loss[] = [];
  #before: bigint | undefined;
  #lastSequence: bigint;
  /** End of the last valid frame. */
  #goodEnd: number;
  #isSealed = false;

  constructor(log: LoadedLog, expectedSequence: bigint) {
    this.#log = log;
    const { header } = log.scan;
    this.#rowKinds = header === undefined ? 'with-intervals' : rowKindsOf(header.version);
    this.#goodEnd = header === undefined ? 0 : FILE_HEADER_BYTES;
    this.#lastSequence = expectedSequence;
    this.#startAfter(header?.predecessor.lastSequence);
  }

  #startAfter(before: bigint | undefined): void {
    this.#before = before;
    if (before !== undefined && before > this.#lastSequence) this.#lastSequence = before;
  }

  async run(window: FileWindow, storeId: Uint8Array): Promise<SalvagedLog> {
    const seed = new ChecksumSeed(storeId, 'log', this.#log.number);
    for await (const frame of findFrames(window, seed, FILE_HEADER_BYTES)) {
      this.#take(frame);
      // Nothing after a seal was acknowledged.
      if (this.#isSealed) break;
    }
    await this.#noteTail(window);
    return {
      parts: finishSteps(this.#parts.finish()),
      losses: this.#losses,
      before: this.#before,
      lastSequence: this.#lastSequence,
    };
  }

  #take({ header, offset, lengthBytes, payload }: FoundFrame): void {
    if (header.kind === FRAME_SEAL) {
      this.#reach(offset, header.sequence);
      this.#goodEnd = offset + lengthBytes;
      this.#isSealed = true;
    }
    if (header.kind !== FRAME_BATCHES) return;
    const isFirst = offset === FILE_HEADER_BYTES;
    if (this.#before === undefined && isFirst) this.#startAfter(header.sequence - 1n);
    if (header.sequence <= this.#lastSequence) return;
    const group = decodeGroup(payload, header.batchCount, header.recordCount, this.#rowKinds);
    if (typeof group === 'string') return;
    this.#reach(offset, header.sequence - 1n);
    this.#parts.add(group);
    finishSteps(this.#parts.work());
    this.#lastSequence = header.sequence + BigInt(header.batchCount) - 1n;
    this.#goodEnd = offset + lengthBytes;
  }

  /**
   * The next valid frame is at `offset`, and `sequence` is the last number before it: bytes and
   * batches in between are lost.
   */
  #reach(offset: number, sequence: bigint): void {
    const isGap = sequence > this.#lastSequence;
    if (!isGap && offset === this.#goodEnd) return;
    const first = isGap ? this.#lastSequence + 1n : undefined;
    this.#lose(this.#goodEnd, offset, first, isGap ? sequence : undefined);
    if (isGap) this.#lastSequence = sequence;
    this.#goodEnd = offset;
  }

  /** Invalid bytes at the end may have been batches, of unknown number. */
  async #noteTail(window: FileWindow): Promise<void> {
    const { ending, fileBytes } = this.#log.scan;
    if (!this.#isSealed && !(await isZeroToEnd(window, this.#goodEnd))) {
      this.#lose(this.#goodEnd, fileBytes, this.#lastSequence + 1n, undefined);
    }
    const isDamaged = ending.kind === 'broken' || ending.kind === 'corrupt';
    const isNamed = this.#losses.some((loss) => isDamaged && ending.offset < loss.toOffset);
    if (isDamaged && !isNamed) this.#lose(ending.offset, fileBytes, undefined, undefined);
  }

  #lose(from: number, to: number, first: bigint | undefined, last: bigint | undefined): void {
    const { ending } = this.#log.scan;
    const isKnown =
      (ending.kind === 'broken' || ending.kind === 'corrupt') &&
      from <= ending.offset &&
      ending.offset < to;
    const reason = isKnown ? ending.reason : 'the bytes between two valid frames do not verify';
    this.#losses.push(lossOf(this.#log.path, reason, from, to, first, last));
  }
}
