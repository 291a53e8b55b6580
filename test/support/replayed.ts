import { finishSteps } from '../../src/base/steps.ts';
import type { Columns } from '../../src/format/columns.ts';
import { PieceBuilder } from '../../src/replay/piece-builder.ts';
import type { RowPiece } from '../../src/replay/row-piece.ts';
import { indexPieces } from '../../src/store/recovery/index-pieces.ts';
import type { Replayed, ReplayedLogs } from '../../src/store/recovery/replayed-logs.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';
import { groupOf } from './small-directory.ts';
import type { TestRow } from './rows.ts';
import { readOnlyFiles } from './read-only-files.ts';

export interface ReplayOptions {
  /** Jobs are divided as if this many could run concurrently. */
  readonly parallelism?: number;
  readonly layerBlocks?: number;
  readonly supersededBytes?: number;
}

/** The rows of groups, oldest first, as read from a part of a log. */
export function pieceOf(
  groups: readonly (readonly TestRow[])[],
  supersededBytes?: number,
): RowPiece[] {
  const builder = new PieceBuilder(1_024, supersededBytes);
  for (const group of groups) builder.add(groupOf([group]).decoded);
  return finishSteps(builder.finish());
}

/**
 * The table of recovery from a snapshot and pieces of logs, oldest first, given by their groups.
 */
export async function replayed(
  snapshot: readonly Columns[],
  pieces: readonly (readonly (readonly TestRow[])[])[],
  { parallelism = 1, layerBlocks, supersededBytes }: ReplayOptions = {},
): Promise<Replayed & Pick<ReplayedLogs, 'touchedChunks'>> {
  const inline = new InlineRunner(readOnlyFiles(new Map()));
  const runner = {
    parallelism,
    run: inline.run.bind(inline),
    close: () => inline.close(),
  };
  const { signal } = new AbortController();
  const context = { runner, signal, ...(layerBlocks !== undefined && { layerBlocks }) };
  const rows = pieces.flatMap((groups) => pieceOf(groups, supersededBytes));
  const replay = await indexPieces(context, rows, snapshot);
  return { ...(await replay.count(snapshot)), touchedChunks: replay.touchedChunks };
}
