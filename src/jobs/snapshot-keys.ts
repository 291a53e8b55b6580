import { finishInSlices, finishSteps } from '../base/steps.ts';
import type { Columns } from '../format/columns.ts';
import type { IndexEntry } from '../format/snapshot-index.ts';
import { eachKeyIn, type SnapshotKeys } from '../runs/interval-deletes.ts';
import type { ChunkReader, SnapshotDamage } from '../snapshot/snapshot-reader.ts';
import type { JobDamage } from './job-context.ts';

/** Where a snapshot's keys are read. */
export interface KeySource {
  readonly entries: readonly IndexEntry[];
  readonly reader: ChunkReader | undefined;
  /** Of an ancestor's snapshot, which has no chunks. */
  readonly records: readonly Columns[];
}

/** Reads the keys of a snapshot that lie in intervals, chunk by chunk, each chunk once. */
export function keysOfSnapshot(
  { entries, reader, records }: KeySource,
  path: string,
  pause?: () => Promise<void> | undefined,
): SnapshotKeys<JobDamage> {
  return async (intervals, add) => {
    await finishInSlices(eachKeyIn(records, intervals, add), pause);
    let first = 0;
    for (const [ordinal, entry] of entries.entries()) {
      while (first < intervals.length && intervals[first]!.highest < entry.firstKey) first++;
      let end = first;
      while (end < intervals.length && intervals[end]!.lowest <= entry.lastKey) end++;
      if (end === first) continue;
      await pause?.();
      const chunk: Columns | SnapshotDamage = await reader!.read(entry, ordinal);
      if ('kind' in chunk) return { ...chunk, path };
      finishSteps(eachKeyIn([chunk], intervals.slice(first, end), add));
    }
    return undefined;
  };
}
