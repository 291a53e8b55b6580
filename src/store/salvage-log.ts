import { equalBytes } from '../base/bytes.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import type { Columns } from '../format/columns.ts';
import { FILE_HEADER_BYTES } from '../format/file-header.ts';
import { FRAME_BATCHES, FRAME_SEAL } from '../format/frame.ts';
import { decodeGroup } from '../format/rows.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { FileWindow } from '../fs/file-window.ts';
import { findFrames } from '../jobs/find-frames.ts';
import { LogRows } from '../jobs/log-rows.ts';
import type { Loss } from './recovery-report.ts';
import type { LoadedLog } from './verdict.ts';

/** What a log yields, and what of it is gone. */
export interface SalvagedLog {
  readonly run: readonly Columns[];
  readonly losses: readonly Loss[];
  /** The last sequence that the log is known to have held. */
  readonly lastSequence: bigint;
}

/** A log from which nothing may be taken: it does not belong to the sequence before it, or to the store. */
export function dropLog(log: LoadedLog, reason: string, lastSequence: bigint): SalvagedLog {
  return {
    run: [],
    lastSequence,
    losses: [lossOf(log.path, reason, 0, log.scan.fileBytes, undefined, undefined)],
  };
}

export function lossOf(
  path: string,
  reason: string,
  fromOffset: number,
  toOffset: number,
  firstSequence: bigint | undefined,
  lastSequence: bigint | undefined,
): Loss {
  return {
    path,
    quarantined: undefined,
    reason,
    fromOffset,
    toOffset,
    firstSequence,
    lastSequence,
    firstKey: undefined,
    lastKey: undefined,
    olderValuesMayShow: true,
  };
}

/**
 * Keeps every group of a damaged log that verifies. A gap in the sequence numbers is a loss, with the
 * bytes between the groups around it. `expectedSequence` is the last sequence of the log before.
 */
export async function salvageLog(
  fs: FileSystem,
  log: LoadedLog,
  storeId: Uint8Array,
  expectedSequence: bigint,
): Promise<SalvagedLog> {
  if (log.scan.format === 'ancestor') return salvageAncestorLog(log);
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

function salvageAncestorLog(log: LoadedLog): SalvagedLog {
  const { validBytes, fileBytes, ending } = log.scan;
  const reason = 'reason' in ending ? ending.reason : 'the log ends early';
  const losses =
    ending.kind === 'broken' || ending.kind === 'corrupt'
      ? [lossOf(log.path, reason, validBytes, fileBytes, undefined, undefined)]
      : [];
  return { run: log.run, losses, lastSequence: 0n };
}

class LogSalvage {
  readonly #log: LoadedLog;
  readonly #rows: LogRows = new LogRows();
  readonly #losses: Loss[] = [];
  #lastSequence: bigint;
  #goodEnd = FILE_HEADER_BYTES;

  constructor(log: LoadedLog, expectedSequence: bigint) {
    this.#log = log;
    this.#lastSequence = expectedSequence;
  }

  async run(window: FileWindow, storeId: Uint8Array): Promise<SalvagedLog> {
    const seed = new ChecksumSeed(storeId, 'log', this.#log.number);
    for await (const frame of findFrames(window, seed, FILE_HEADER_BYTES)) {
      const { header, offset } = frame;
      if (header.kind === FRAME_SEAL) this.#noteGap(offset, header.sequence + 1n);
      if (header.kind !== FRAME_BATCHES || header.sequence <= this.#lastSequence) continue;
      const group = decodeGroup(frame.payload, header.batchCount, header.recordCount);
      if (typeof group === 'string') continue;
      this.#noteGap(offset, header.sequence);
      this.#rows.add(group.rows);
      this.#lastSequence = header.sequence + BigInt(header.batchCount) - 1n;
      this.#goodEnd = offset + frame.lengthBytes;
    }
    this.#noteTail();
    return { run: this.#rows.finish(), losses: this.#losses, lastSequence: this.#lastSequence };
  }

  /** The next thing that verifies begins at `offset` with `sequence`: what lies before it is lost. */
  #noteGap(offset: number, sequence: bigint): void {
    if (sequence <= this.#lastSequence + 1n) return;
    const reason = 'the bytes between two frames that verify do not';
    this.#losses.push(
      lossOf(this.#log.path, reason, this.#goodEnd, offset, this.#lastSequence + 1n, sequence - 1n),
    );
    this.#lastSequence = sequence - 1n;
    this.#goodEnd = offset;
  }

  /** Broken bytes at the end may have been batches; how many is not known here. */
  #noteTail(): void {
    const { ending, fileBytes } = this.#log.scan;
    if (ending.kind !== 'broken' && ending.kind !== 'corrupt') return;
    if (ending.offset < this.#goodEnd || this.#losses.length > 0) return;
    this.#losses.push(
      lossOf(
        this.#log.path,
        ending.reason,
        ending.offset,
        fileBytes,
        this.#lastSequence + 1n,
        undefined,
      ),
    );
  }
}
