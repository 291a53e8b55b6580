import type { Columns } from '../format/columns.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { LogScan } from '../log/log-report.ts';
import { scanLog } from '../log/log-scan.ts';
import type { JobContext } from './job-context.ts';
import { LogRows } from './log-rows.ts';

/** Reads one log whole: what its frames say, and its updates as a run. */
export interface LoadLogJob {
  readonly kind: 'load-log';
  readonly path: string;
  readonly number: number;
  readonly storeId: Uint8Array | undefined;
}

export interface LoadLogResult {
  readonly scan: LogScan;
  /** The last update of each key, ascending; value 0 = delete. */
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
    onGroup: (group) => rows.add(group.rows),
    onProgress: context.onProgress,
    signal: context.signal,
  });
  return { scan, run: rows.finish() };
}
