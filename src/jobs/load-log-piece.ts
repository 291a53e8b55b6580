import { finishInSlices } from '../base/steps.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { scanPiece, type ByteRange } from '../log/log-piece.ts';
import type { LogPiece } from '../log/log-report.ts';
import { PieceBuilder } from '../replay/piece-builder.ts';
import type { RowPiece } from '../replay/row-piece.ts';
import { GroupSlices } from './group-slices.ts';
import type { JobContext } from './job-context.ts';
import { rowBytesOf } from './load-log.ts';

/** Reads and checks the groups that begin in a byte range of a log. */
export interface LoadLogPieceJob {
  readonly kind: 'load-log-piece';
  readonly path: string;
  readonly number: number;
  readonly range: ByteRange;
}

export interface LoadLogPieceResult {
  readonly piece: LogPiece | undefined;
  /** The rows of these groups, oldest first. */
  readonly rows: RowPiece[];
}

export async function loadLogPiece(
  fs: FileSystem,
  { path, number, range }: LoadLogPieceJob,
  context: Omit<JobContext, 'send'>,
): Promise<LoadLogPieceResult> {
  const builder = new PieceBuilder(rowBytesOf(range.to - range.from));
  const slices = new GroupSlices(context.pause);
  const piece = await scanPiece(fs, path, range, {
    number,
    storeId: undefined,
    onGroup: (group) => {
      builder.addGroup(group);
      slices.noteGroup(group.rows.length);
    },
    pause: () =>
      builder.isDue ? finishInSlices(builder.settle(), context.pause) : slices.pauseIfDue(),
    onProgress: (offset) => context.onProgress(offset - range.from),
    signal: context.signal,
    mayBlock: context.mayBlock,
  });
  context.signal.throwIfAborted();
  return { piece, rows: await finishInSlices(builder.finish(), context.pause) };
}
