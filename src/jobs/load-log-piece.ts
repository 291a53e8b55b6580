import type { Columns } from '../format/columns.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { scanPiece, type ByteRange } from '../log/log-piece.ts';
import type { LogPiece } from '../log/log-report.ts';
import type { JobContext } from './job-context.ts';
import { LogRows } from '../runs/log-rows.ts';

/** Reads and checks the groups that begin in a part of a log, and turns their rows into a run. */
export interface LoadLogPieceJob {
  readonly kind: 'load-log-piece';
  readonly path: string;
  readonly number: number;
  readonly range: ByteRange;
}

export interface LoadLogPieceResult {
  readonly piece: LogPiece | undefined;
  /** Whether each key was above the one before it. */
  readonly isAscending: boolean;
  /** The last update of each key, ascending; value 0 = delete. */
  readonly run: Columns[];
}

export async function loadLogPiece(
  fs: FileSystem,
  { path, number, range }: LoadLogPieceJob,
  context: Omit<JobContext, 'send'>,
): Promise<LoadLogPieceResult> {
  const rows = new LogRows(2 * (range.to - range.from), 'shared');
  const piece = await scanPiece(fs, path, range, {
    number,
    storeId: undefined,
    onGroup: (group) => rows.add(group.rows),
    onProgress: (offset) => context.onProgress(offset - range.from),
    signal: context.signal,
    mayBlock: context.mayBlock,
  });
  await context.pause?.();
  context.signal.throwIfAborted();
  const { isAscending } = rows;
  return { piece, isAscending, run: rows.finish() };
}
