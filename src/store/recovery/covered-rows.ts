import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { IntervalSet, NO_INTERVALS, type IntervalWords } from '../../base/interval-set.ts';
import { finishInSlices } from '../../base/steps.ts';
import { makeDeleteRow } from '../../format/row.ts';
import {
  DELETE_FLAG,
  ENTRY_WORDS,
  HIGH,
  LENGTH,
  LOW,
  POSITION,
  STEP_ENTRIES,
  type RowPiece,
} from '../../replay/row-piece.ts';
import { blockOf, viewOffset } from '../../table/delta/arena.ts';
import { RowBlocks } from '../../table/replayed/row-blocks.ts';
import type { RecoveryContext } from './recovery-context.ts';

/** Pieces in which the deletes of intervals have been applied to older rows. */
export interface SettledPieces {
  /** Oldest first. Each has rows, and no intervals. */
  readonly pieces: readonly RowPiece[];
  /** What the pieces deleted, of the snapshot too. Ascending, and no two touch. */
  readonly intervals: IntervalWords;
  /** Bytes in the buffers of `pieces` that are no longer of rows. */
  readonly freedBytes: number;
}

/**
 * Makes deletes, in place, of the rows that an interval of a newer piece covers. Goes from the
 * newest piece to the oldest, so that an interval is known before what it covers, and each row is
 * looked up once, however many intervals there are.
 */
export async function settleIntervals(
  context: Pick<RecoveryContext, 'pause' | 'signal'>,
  pieces: readonly RowPiece[],
): Promise<SettledPieces> {
  const { pause } = context;
  const lists = pieces.map(({ intervals }) => intervals).filter(({ length }) => length > 0);
  if (lists.length === 0) return { pieces, intervals: NO_INTERVALS, freedBytes: 0 };
  const newer = await finishInSlices(IntervalSet.forLists(lists), pause);
  let freedBytes = 0;
  for (const piece of pieces.toReversed()) {
    if (!newer.isEmpty) freedBytes += await deleteCovered(context, piece, newer);
    await finishInSlices(newer.addList(piece.intervals), pause);
  }
  const settled = pieces
    .filter(({ rowCount }) => rowCount > 0)
    .map((piece) => ({ ...piece, intervals: NO_INTERVALS }));
  const intervals = await finishInSlices(newer.sharedWords(), pause);
  return { pieces: settled, intervals, freedBytes };
}

/** Resolves to the number of bytes that rows no longer take. */
async function deleteCovered(
  { pause, signal }: Pick<RecoveryContext, 'pause' | 'signal'>,
  { entries, buffers }: RowPiece,
  covered: IntervalSet,
): Promise<number> {
  const { views } = new RowBlocks(buffers);
  let freedBytes = 0;
  for (let at = 0; at < entries.length; at += ENTRY_WORDS) {
    if (at % (ENTRY_WORDS * STEP_ENTRIES) === 0) {
      signal.throwIfAborted();
      await pause?.();
    }
    const length = entries[at + LENGTH]!;
    if (length >= DELETE_FLAG || !covered.has(entries[at + LOW]!, entries[at + HIGH]!)) continue;
    const position = entries[at + POSITION]!;
    makeDeleteRow(views[blockOf(position)]!, viewOffset(position));
    freedBytes += length - ROW_HEADER_BYTES;
    entries[at + LENGTH] = ROW_HEADER_BYTES + DELETE_FLAG;
  }
  return freedBytes;
}
