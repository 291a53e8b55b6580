import type { RowPiece } from '../../replay/row-piece.ts';
import { isRun } from './piece-run.ts';
import { Replay } from './replay.ts';
import type { ChunkSpan, ReplayContext, ReplayedLogs } from './replayed-logs.ts';
import { partitionPieces } from './row-pile.ts';
import { RunReplay } from './run-replay.ts';

/**
 * Indexes the rows read from logs: `pieces`, oldest first. `spans`: key ranges of the base's
 * chunks, ascending.
 */
export async function indexPieces(
  context: ReplayContext,
  pieces: readonly RowPiece[],
  spans: readonly ChunkSpan[],
): Promise<ReplayedLogs> {
  if (isRun(pieces)) return RunReplay.index(context, pieces, spans);
  return Replay.index(context, await partitionPieces(context, pieces), spans);
}
