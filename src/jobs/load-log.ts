import type { Columns } from '../format/columns.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { LogPiece, LogScan } from '../log/log-report.ts';
import { scanLog } from '../log/log-scan.ts';
import type { JobContext } from './job-context.ts';
import { LogRows } from '../runs/log-rows.ts';

/** Reads and checks one log, or what pieces read before have left of it, and turns its rows into a run. */
export interface LoadLogJob {
  readonly kind: 'load-log';
  readonly path: string;
  readonly number: number;
  readonly storeId: Uint8Array | undefined;
  /** As in `LogScanOptions`. */
  readonly pieces?: readonly (LogPiece | undefined)[] | undefined;
}

export interface LoadLogResult {
  readonly scan: LogScan;
  /** The last update of each key, ascending; value 0 = delete. Without those of `scan.pieces` pieces. */
  readonly run: Columns[];
}

export async function loadLog(
  fs: FileSystem,
  job: LoadLogJob,
  context: Omit<JobContext, 'send'>,
): Promise<LoadLogResult> {
  const rows = new LogRows();
  const scan = await scanLog(fs, job.path, {
    number: job.number,
    storeId: job.storeId,
    pieces: job.pieces,
    onGroup: (group) => rows.add(group.rows),
    onProgress: context.onProgress,
    signal: context.signal,
  });
  return { scan, run: rows.finish() };
}
