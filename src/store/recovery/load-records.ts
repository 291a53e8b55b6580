import { CorruptionError, type CorruptionDetail } from '../../base/errors.ts';
import type { Columns } from '../../format/columns.ts';
import type { IndexEntry } from '../../format/snapshot-index.ts';
import type { JobDamage } from '../../jobs/job-context.ts';
import type { LoadChunksJob, LoadChunksResult } from '../../jobs/load-chunks.ts';
import { damageHint } from './advice.ts';
import type { RecoveryContext } from './recovery-context.ts';
import type { SnapshotState } from './snapshot-state.ts';

/**
 * Chunks per job: some milliseconds of work, so that threads that start late or run slowly take
 * fewer.
 */
const JOB_CHUNKS = 32;

export type ChunkedSnapshot = Extract<SnapshotState, { format: 'lodestore' }>;

/** Decodes all chunks of a snapshot, in parallel. */
export async function loadSnapshot(
  context: RecoveryContext,
  snapshot: ChunkedSnapshot,
  storeId: Uint8Array,
): Promise<Columns[]> {
  const { runner, signal, progress } = context;
  const { entries } = snapshot.file.index;
  const perJob = runner.parallelism === 1 ? Math.max(entries.length, 1) : JOB_CHUNKS;
  const jobs: LoadChunksJob[] = [];
  for (let first = 0; first < entries.length; first += perJob) {
    jobs.push(rangeJob(snapshot, storeId, first, entries.slice(first, first + perJob)));
  }
  const results = await Promise.all(
    jobs.map((job) => runner.run(job, { signal, onProgress: progress.part('snapshot') })),
  );
  return results.flatMap((result) => chunksOf(context, result));
}

/** The job for some chunks, of which `firstOrdinal` is the first. */
export function rangeJob(
  snapshot: ChunkedSnapshot,
  storeId: Uint8Array,
  firstOrdinal: number,
  entries: readonly IndexEntry[],
): LoadChunksJob {
  const { path, number, fileBytes } = snapshot;
  return { kind: 'load-chunks', path, number, storeId, fileBytes, firstOrdinal, entries };
}

/** Reads the ancestor's snapshot, which has no chunks. */
export async function loadAncestorRecords(
  context: RecoveryContext,
  path: string,
): Promise<Columns[]> {
  const { runner, signal } = context;
  const job = { kind: 'load-ancestor' as const, path };
  return chunksOf(context, await runner.run(job, { signal }));
}

function chunksOf(context: RecoveryContext, result: LoadChunksResult): Columns[] {
  if (result.kind === 'corrupt') {
    throw new CorruptionError(damageDetail(context.directory, result));
  }
  return result.chunks;
}

/** Adds the advice for the directory to damage that a job found. */
export function damageDetail(directory: string, damage: JobDamage): CorruptionDetail {
  const { path, offset, reason } = damage;
  return { path, offset, reason, hint: damageHint(directory) };
}
