import { finishInSlices } from '../base/steps.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { LogPiece, LogScan } from '../log/log-report.ts';
import { scanLog } from '../log/log-scan.ts';
import { PieceBuilder } from '../replay/piece-builder.ts';
import type { RowPiece } from '../replay/row-piece.ts';
import { GroupSlices } from './group-slices.ts';
import type { JobContext } from './job-context.ts';

/** Reads and checks one log, or the rest of it after pieces that were read before. */
export interface LoadLogJob {
  readonly kind: 'load-log';
  readonly path: string;
  readonly number: number;
  readonly storeId: Uint8Array | undefined;
  /** Number of bytes to read. */
  readonly expectedBytes: number;
  /** As in `LogScanOptions`. */
  readonly limitBytes?: number | undefined;
  /** As in `LogScanOptions`. */
  readonly pieces?: readonly (LogPiece | undefined)[] | undefined;
}

export interface LoadLogResult {
  readonly scan: LogScan;
  /** The log's rows, oldest first, without those of the pieces that `scan.pieces` counts. */
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
    limitBytes: job.limitBytes,
    onGroup: (group) => {
      builder.addGroup(group);
      slices.noteGroup(group.rows.length);
    },
    pause: () =>
      builder.isDue ? finishInSlices(builder.settle(), context.pause) : slices.pauseIfDue(),
    onProgress: context.onProgress,
    signal: context.signal,
  });
  context.signal.throwIfAborted();
  return { scan, rows: await finishInSlices(builder.finish(), context.pause) };
}

/** Estimates the bytes of the rows in `logBytes` of a log. */
export function rowBytesOf(logBytes: number): number {
  return Math.max(LEAST_ROW_BYTES, 2 * logBytes);
}

const LEAST_ROW_BYTES = 4_096;
