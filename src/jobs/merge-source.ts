import { assert } from '../base/assert.ts';
import { equalBytes } from '../base/bytes.ts';
import type { Columns } from '../format/columns.ts';
import type { IndexEntry } from '../format/snapshot-index.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { ChunkReader, readSnapshot } from '../snapshot/snapshot-reader.ts';
import type { JobContext, JobDamage } from './job-context.ts';
import { readAncestorSnapshot } from './load-ancestor.ts';

/** The snapshot that a merge starts from. */
export interface OldSnapshot {
  readonly path: string;
  readonly number: number;
  readonly format: 'lodestore' | 'ancestor';
}

/** The opened input of a merge, without its logs. */
export interface MergeSource {
  readonly entries: readonly IndexEntry[];
  readonly reader: ChunkReader | undefined;
  /** Content hash of the records in `entries`. Undefined for a snapshot of version 1. */
  readonly contentHash: bigint | undefined;
  /** Records of an ancestor's snapshot, which has no chunks. */
  readonly records: readonly Columns[];
}

const NO_ENTRIES = { entries: [], reader: undefined, contentHash: 0n };

/** `file`: the open snapshot, unless it is the ancestor's. */
export async function openMergeSource(
  file: OpenFile | undefined,
  fs: FileSystem,
  job: { readonly snapshot: OldSnapshot | undefined; readonly storeId: Uint8Array },
  { signal, pause }: Pick<JobContext, 'signal' | 'pause'>,
): Promise<MergeSource | JobDamage> {
  if (job.snapshot === undefined) return { ...NO_ENTRIES, records: [] };
  const { path, number, format } = job.snapshot;
  if (format === 'ancestor') {
    const records = await readAncestorSnapshot(fs, path, signal, pause);
    return Array.isArray(records) ? { ...NO_ENTRIES, records } : records;
  }
  assert(file !== undefined, 'a snapshot of ours is read through its open file');
  const result = await readSnapshot(file, number);
  if (result.kind !== 'snapshot') {
    const reason =
      result.kind === 'corrupt' ? result.reason : 'the snapshot has become another file';
    return { kind: 'corrupt', path, offset: result.kind === 'corrupt' ? result.offset : 0, reason };
  }
  if (!equalBytes(result.header.storeId, job.storeId)) {
    return { kind: 'corrupt', path, offset: 0, reason: 'the snapshot belongs to another store' };
  }
  const reader = new ChunkReader(file, result.fileBytes, job.storeId, number);
  const { entries, totals } = result.index;
  return { entries, reader, contentHash: totals.contentHash, records: [] };
}
