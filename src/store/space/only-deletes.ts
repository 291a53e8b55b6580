import { viewOf } from '../../base/bytes.ts';
import { waited, type Flow } from '../../base/flow.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { rowLengthAt } from '../../format/group-rows.ts';
import { isDeleteRow } from '../../format/row.ts';
import type { PackedBatch } from '../batch/packed-batch.ts';

/** Rows scanned between two yields to the event loop. */
const SLICE_ROWS = 16_384;

/** Whether no row of the batch is a put. Calls `pause` between slices of a large batch. */
export function* isOnlyDeletes(
  { rows, recordCount, hasIntervals }: PackedBatch,
  pause: (() => Promise<void>) | undefined,
): Flow<boolean> {
  // A delete of one key has no data.
  if (!hasIntervals && rows.length !== recordCount * ROW_HEADER_BYTES) return false;
  const view = viewOf(rows);
  let untilPause = SLICE_ROWS;
  for (let offset = 0; offset < rows.length; offset += rowLengthAt(view, offset)) {
    if (!isDeleteRow(view, offset)) return false;
    if (--untilPause > 0) continue;
    untilPause = SLICE_ROWS;
    yield* waited(pause?.());
  }
  return true;
}
