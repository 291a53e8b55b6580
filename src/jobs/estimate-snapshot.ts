import type { Steps } from '../base/steps.ts';
import type { Columns } from '../format/columns.ts';
import { FILE_HEADER_BYTES } from '../format/file-header.ts';
import { FRAME_HEADER_BYTES } from '../format/frame.ts';
import { indexBytes, TRAILER_BYTES, type IndexEntry } from '../format/snapshot-index.ts';
import { CHUNK_TARGET_RECORDS, ROW_HEADER_BYTES } from '../base/limits.ts';
import { keyBound, RunCursor } from '../runs/run-cursor.ts';

/** Updates that one step counts. */
const STEP_UPDATES = 4_096;

/**
 * Estimates the size in bytes of the snapshot that a merge will write. A chunk without deletes
 * counts with its size; a chunk with deletes shrinks in proportion to them. Updates count
 * uncompressed, but together at most as much as the logs that hold them. `records`: those of an
 * ancestor's snapshot, which has no chunks.
 */
export function* estimateSnapshot(
  {
    entries,
    records,
  }: { readonly entries: readonly IndexEntry[]; readonly records: readonly Columns[] },
  run: readonly Columns[],
  logs: readonly { readonly lengthBytes: number }[],
): Steps<number> {
  const logBytes = logs.reduce((sum, log) => sum + log.lengthBytes, 0);
  const updates = new RunCursor(run);
  let keptBytes = 0;
  let putBytes = 0;
  let recordCount = 0;
  let updateCount = 0;
  for (const { recordCount: count, data } of records) {
    recordCount += count;
    keptBytes += count * ROW_HEADER_BYTES + data.length;
  }
  function* countUpdates(below: bigint | undefined): Steps<number> {
    const bound = below === undefined ? undefined : keyBound(below);
    let deletes = 0;
    for (; updates.isBelow(bound); updates.next()) {
      if (++updateCount % STEP_UPDATES === 0) yield;
      if (updates.isDelete) deletes++;
      else {
        putBytes += ROW_HEADER_BYTES + updates.dataLength;
        recordCount++;
      }
    }
    return deletes;
  }
  for (const [i, entry] of entries.entries()) {
    // Updates below the first chunk are folded into it.
    const deletes = yield* countUpdates(entries[i + 1]?.firstKey);
    const kept = Math.max(0, entry.recordCount - deletes);
    recordCount += kept;
    keptBytes += Math.ceil((entry.lengthBytes * kept) / entry.recordCount);
  }
  if (entries.length === 0) yield* countUpdates(undefined);
  const chunkCount = entries.length + Math.ceil(recordCount / CHUNK_TARGET_RECORDS);
  const fixedBytes = FILE_HEADER_BYTES + FRAME_HEADER_BYTES + indexBytes(chunkCount);
  return fixedBytes + TRAILER_BYTES + keptBytes + Math.min(putBytes, logBytes);
}
