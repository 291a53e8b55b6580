import type { FileSystem } from '../fs/file-system.ts';
import type { LogScan, LogScanOptions } from '../log/log-report.ts';
import { scanLog } from '../log/log-scan.ts';
import type { RunPart } from '../runs/interval-deletes.ts';
import { LogParts } from '../runs/part-pile.ts';

/**
 * Reads and checks one log, and sorts its rows into runs: of each part the last update of each key,
 * where value 0 is a delete.
 */
export async function scanRun(
  fs: FileSystem,
  path: string,
  options: Omit<LogScanOptions, 'onGroup'>,
): Promise<{ readonly scan: LogScan; readonly parts: RunPart[] }> {
  const parts = new LogParts();
  const scan = await scanLog(fs, path, { ...options, onGroup: (group) => parts.add(group) });
  options.signal?.throwIfAborted();
  return { scan, parts: parts.finish() };
}
