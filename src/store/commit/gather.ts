import { writeBatchTable, type Group } from '../../log/group-encoder.ts';
import type { Region } from '../../table/delta/arena.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';

/** Copies the batches' rows, then the table of their sizes, into the region. */
export function gather(region: Region, batches: readonly QueuedBatch[], rowsBytes: number): Group {
  let offset = 0;
  let recordCount = 0;
  const counts: number[] = [];
  for (const { packed } of batches) {
    packed!.copyTo(region.bytes, offset);
    offset += packed!.lengthBytes;
    recordCount += packed!.recordCount;
    counts.push(packed!.recordCount);
  }
  writeBatchTable(region.bytes, rowsBytes, counts);
  return { decoded: region.bytes, batchCount: batches.length, recordCount };
}
