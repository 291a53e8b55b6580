import { finishInSlices } from '../base/steps.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { LogScan, LogScanOptions } from '../log/log-report.ts';
import { scanLog } from '../log/log-scan.ts';
import type { RunPart } from '../runs/interval-deletes.ts';
import { LogParts } from '../runs/part-pile.ts';
import { GroupSlices } from './group-slices.ts';

/**
 * Reads and checks one log, and sorts its rows into runs: of each part the last update of each key,
 * where value 0 is a delete. `options.pause` is called when it may be due, as in a `JobContext`.
 */
export async function scanRun(
  fs: FileSystem,
  path: string,
  options: Omit<LogScanOptions, 'onGroup'>,
): Promise<{ readonly scan: LogScan; readonly parts: RunPart[] }> {
  const parts = new LogParts();
  const slices = new GroupSlices(options.pause);
  const scan = await scanLog(fs, path, {
    ...options,
    onGroup: (group) => {
      parts.add(group);
      slices.noteGroup(group.rows.length);
    },
    pause: () =>
      parts.isWorkDue ? finishInSlices(parts.work(), options.pause) : slices.pauseIfDue(),
  });
  options.signal?.throwIfAborted();
  return { scan, parts: await finishInSlices(parts.finish(), options.pause) };
}
