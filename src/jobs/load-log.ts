import { finishInSlices } from '../base/steps.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { LogPiece, LogScan } from '../log/log-report.ts';
import { scanLog } from '../log/log-scan.ts';
import { PieceBuilder } from '../replay/piece-builder.ts';
import type { RowPiece } from '../replay/row-piece.ts';
import type { JobContext } from './job-context.ts';

/** Reads and checks one log, or what pieces read before have left of it. */
export interface LoadLogJob {
  readonly kind: 'load-log';
  readonly path: string;
  readonly number: number;
  readonly storeId: Uint8Array | undefined;
  /** Bytes that are to be read. */
  readonly expectedBytes: number;
  /** As in `LogScanOptions`. */
  readonly pieces?: readonly (LogPiece | undefined)[] | undefined;
}

export interface LoadLogResult {
  readonly scan: LogScan;
  /** Its rows, oldest first. Without those of `scan.pieces` pieces. */
  readonly rows: RowPiece[];
}

export async function loadLog(
  fs: FileSystem,
  job: LoadLogJob,
  context: Omit<JobContext, 'send'>,
): Promise<LoadLogResult> {
  const builder = new PieceBuilder(rowBytesOf(job.expectedBytes));
  const slices = new GroupSlices(context.pause);
  const scan = await scanLog(fs, job.path, {
    number: job.number,
    storeId: job.storeId,
    pieces: job.pieces,
    onGroup: (group) => {
      builder.add(group.rows);
      slices.noteGroup(group.rows.length);
    },
    pause: () => slices.pauseIfDue(),
    onProgress: context.onProgress,
    signal: context.signal,
  });
  context.signal.throwIfAborted();
  return { scan, rows: await finishInSlices(builder.finish(), context.pause) };
}

/** What the rows of so many bytes of a log are likely to take. */
export function rowBytesOf(logBytes: number): number {
  return Math.max(LEAST_ROW_BYTES, 2 * logBytes);
}

const LEAST_ROW_BYTES = 4_096;

/**
 * Bytes of rows read in about half a millisecond, and what reading a group costs beside its rows.
 */
const SLICE_BYTES: number = 128 * 1024;
const GROUP_BYTES = 512;

/** Tells when it is time to give way, by the rows read since the last time. */
export class GroupSlices {
  readonly #pause: (() => Promise<void>) | undefined;
  #sinceBytes = 0;

  constructor(pause: (() => Promise<void>) | undefined) {
    this.#pause = pause;
  }

  noteGroup(rowsBytes: number): void {
    this.#sinceBytes += rowsBytes + GROUP_BYTES;
  }

  pauseIfDue(): Promise<void> | undefined {
    if (this.#sinceBytes < SLICE_BYTES) return undefined;
    this.#sinceBytes = 0;
    return this.#pause?.();
  }
}
