import type { Columns } from '../format/columns.ts';
import type { IndexEntry } from '../format/snapshot-index.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { ChunkReader } from '../snapshot/snapshot-reader.ts';
import type { JobContext, JobDamage } from './job-context.ts';

/** Decodes a range of a snapshot's chunks into shared memory. */
export interface LoadChunksJob {
  readonly kind: 'load-chunks';
  readonly path: string;
  readonly number: number;
  readonly storeId: Uint8Array;
  readonly fileBytes: number;
  readonly firstOrdinal: number;
  readonly entries: readonly IndexEntry[];
}

export type LoadChunksResult = { readonly kind: 'chunks'; readonly chunks: Columns[] } | JobDamage;

export async function loadChunks(
  fs: FileSystem,
  job: LoadChunksJob,
  context: Omit<JobContext, 'send'>,
): Promise<LoadChunksResult> {
  const file = await fs.open(job.path, 'r');
  try {
    const { fileBytes, storeId, number } = job;
    const { mayBlock = false } = context;
    const reader = new ChunkReader(file, fileBytes, storeId, number, {
      mayBlock,
      memory: 'shared',
    });
    const chunks: Columns[] = [];
    for (let i = 0; i < job.entries.length; i++) {
      await context.pause?.();
      context.signal.throwIfAborted();
      const entry = job.entries[i]!;
      const columns = await reader.read(entry, job.firstOrdinal + i);
      if ('kind' in columns) return { ...columns, path: job.path };
      chunks.push(columns);
      context.onProgress(entry.offset + entry.lengthBytes - job.entries[0]!.offset);
    }
    reader.release();
    return { kind: 'chunks', chunks };
  } finally {
    await file.close();
  }
}
