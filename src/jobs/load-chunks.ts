import type { Columns } from '../format/columns.ts';
import type { IndexEntry } from '../format/snapshot-index.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { ChunkReader } from '../snapshot/snapshot-reader.ts';
import { foldChunk, Folder } from './fold.ts';
import type { JobContext, JobDamage } from './job-context.ts';
import { RunCursor } from './run-cursor.ts';

/** Decodes a range of a snapshot's chunks and folds the updates of newer logs into them. */
export interface LoadChunksJob {
  readonly kind: 'load-chunks';
  readonly path: string;
  readonly number: number;
  readonly storeId: Uint8Array;
  readonly fileBytes: number;
  readonly firstOrdinal: number;
  readonly entries: readonly IndexEntry[];
  /** First key of the chunk behind the range; undefined at the end of the snapshot. */
  readonly bound: bigint | undefined;
  /** Updates whose keys belong to the range, ascending. */
  readonly updates: readonly Columns[];
}

/** Records of one chunk of the snapshot as they stand after all logs; more than one where it grew. */
export interface LoadedChunk {
  readonly origin: number;
  readonly columns: Columns;
}

export type LoadChunksResult =
  { readonly kind: 'chunks'; readonly chunks: LoadedChunk[] } | JobDamage;

export async function loadChunks(
  fs: FileSystem,
  job: LoadChunksJob,
  context: Omit<JobContext, 'send'>,
): Promise<LoadChunksResult> {
  const file = await fs.open(job.path, 'r');
  try {
    const reader = new ChunkReader(file, job.fileBytes, job.storeId, job.number);
    const chunks: LoadedChunk[] = [];
    const updates = new RunCursor(job.updates);
    let origin = job.firstOrdinal;
    const folder = new Folder((columns) => chunks.push({ origin, columns }));
    for (let i = 0; i < job.entries.length; i++) {
      context.signal.throwIfAborted();
      const entry = job.entries[i]!;
      origin = job.firstOrdinal + i;
      const columns = await reader.read(entry, origin);
      if ('kind' in columns) return { ...columns, path: job.path };
      const next = job.entries[i + 1];
      const bound = next === undefined ? job.bound : next.firstKey;
      if (updates.done || (bound !== undefined && updates.countBelow(bound) === 0)) {
        chunks.push({ origin, columns });
      } else {
        foldChunk([columns], updates, bound, folder);
        folder.flush();
      }
      context.onProgress(entry.offset + entry.lengthBytes - job.entries[0]!.offset);
    }
    // A snapshot without chunks: all there is are the updates.
    foldChunk([], updates, undefined, folder);
    folder.flush();
    return { kind: 'chunks', chunks };
  } finally {
    await file.close();
  }
}
