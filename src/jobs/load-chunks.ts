import type { Columns } from '../format/columns.ts';
import type { IndexEntry } from '../format/snapshot-index.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { ChunkReader } from '../snapshot/snapshot-reader.ts';
import { foldChunk, Folder } from './fold.ts';
import type { JobContext, JobDamage } from './job-context.ts';
import { keyBound, RunCursor } from './run-cursor.ts';

/** Decodes a range of a snapshot's chunks and folds the updates of newer logs into them. */
export interface LoadChunksJob {
  readonly kind: 'load-chunks';
  readonly path: string;
  readonly number: number;
  readonly storeId: Uint8Array;
  readonly fileBytes: number;
  readonly firstOrdinal: number;
  readonly entries: readonly IndexEntry[];
  /** Updates below this key are another range's; undefined for the first range. */
  readonly from: bigint | undefined;
  /** First key of the chunk behind the range; undefined at the end of the snapshot. */
  readonly bound: bigint | undefined;
  /** Updates, ascending: all whose keys belong to the range, and maybe others around them. */
  readonly updates: readonly Columns[];
}

export type LoadChunksResult = { readonly kind: 'chunks'; readonly chunks: Columns[] } | JobDamage;

export async function loadChunks(
  fs: FileSystem,
  job: LoadChunksJob,
  context: Omit<JobContext, 'send'>,
): Promise<LoadChunksResult> {
  const file = await fs.open(job.path, 'r');
  try {
    const reader = new ChunkReader(file, job.fileBytes, job.storeId, job.number);
    const chunks: Columns[] = [];
    const updates = new RunCursor(job.updates);
    while (job.from !== undefined && updates.isBelow(keyBound(job.from))) updates.next();
    const folder = new Folder((columns) => chunks.push(columns));
    for (let i = 0; i < job.entries.length; i++) {
      context.signal.throwIfAborted();
      const entry = job.entries[i]!;
      const columns = await reader.read(entry, job.firstOrdinal + i);
      if ('kind' in columns) return { ...columns, path: job.path };
      const next = job.entries[i + 1];
      const bound = next === undefined ? job.bound : next.firstKey;
      if (updates.done || (bound !== undefined && updates.countBelow(bound) === 0)) {
        chunks.push(columns);
      } else {
        foldChunk([columns], updates, bound, folder);
        folder.flush();
      }
      context.onProgress(entry.offset + entry.lengthBytes - job.entries[0]!.offset);
    }
    if (job.entries.length === 0) {
      foldChunk([], updates, job.bound, folder);
      folder.flush();
    }
    return { kind: 'chunks', chunks };
  } finally {
    await file.close();
  }
}
