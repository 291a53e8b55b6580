import { viewOf } from '../../base/bytes.ts';
import type { Flow } from '../../base/flow.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { CHECKED_ROWS, WorkSlices, type Pacing } from '../../base/work-slices.ts';
import { rowLengthAt } from '../../format/group-rows.ts';
import { isDeleteRow } from '../../format/row.ts';
import type { PackedBatch } from '../batch/packed-batch.ts';

/** Whether no row of the batch is a put. A large batch is scanned in slices. */
export function* isOnlyDeletes(
  { rows, recordCount, hasIntervals }: PackedBatch,
  pacing: Pacing,
): Flow<boolean> {
  // A delete of one key has no data.
  if (!hasIntervals && rows.length !== recordCount * ROW_HEADER_BYTES) return false;
  const view = viewOf(rows);
  const slices = new WorkSlices(pacing);
  let scanned = 0;
  for (let offset = 0; offset < rows.length; offset += rowLengthAt(view, offset)) {
    if (!isDeleteRow(view, offset)) return false;
    if (++scanned % CHECKED_ROWS === 0) yield* slices.rest();
  }
  return true;
}
