import type { Columns } from '../format/columns.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { LogScan, LogScanOptions } from '../log/log-report.ts';
import { scanLog } from '../log/log-scan.ts';
import { LogRows } from '../runs/log-rows.ts';

/**
 * Reads and checks one log, and sorts its rows into a run: the last update of each key, where value
 * 0 is a delete.
 */
export async function scanRun(
  fs: FileSystem,
  path: string,
  options: Omit<LogScanOptions, 'onGroup'>,
): Promise<{ readonly scan: LogScan; readonly run: Columns[] }> {
  const rows = new LogRows();
  const scan = await scanLog(fs, path, { ...options, onGroup: (group) => rows.add(group.rows) });
  options.signal?.throwIfAborted();
  return { scan, run: rows.finish() };
}
