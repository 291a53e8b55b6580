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

/** Reads the keys of a snapshot that lie in an interval, chunk by chunk. */
export function keysOfSnapshot(
  { entries, reader, records }: KeySource,
  path: string,
  pause?: () => Promise<void> | undefined,
): SnapshotKeys<JobDamage> {
  return async (interval, add) => {
    await finishInSlices(eachKeyIn(records, interval, add), pause);
    for (const [ordinal, entry] of entries.entries()) {
      if (entry.lastKey < interval.lowest || entry.firstKey > interval.highest) continue;
      await pause?.();
      const chunk: Columns | SnapshotDamage = await reader!.read(entry, ordinal);
      if ('kind' in chunk) return { ...chunk, path };
      finishSteps(eachKeyIn([chunk], interval, add));
    }
    return undefined;
  };
}
