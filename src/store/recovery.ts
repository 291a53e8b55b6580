import { join } from 'node:path';
import { CorruptionError, type CorruptionDetail } from '../base/errors.ts';
import { listDirectory, type DirectoryListing } from '../directory/listing.ts';
import type { Columns } from '../format/columns.ts';
import { logName } from '../format/file-name.ts';
import type { IndexEntry } from '../format/snapshot-index.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { JobDamage } from '../jobs/job-context.ts';
import type { LoadChunksJob, LoadChunksResult } from '../jobs/load-chunks.ts';
import type { JobRunner } from '../threads/job-runner.ts';
import { damageHint } from './advice.ts';
import { ProgressMeter } from './progress-meter.ts';
import { newestSnapshot, storeIdOf, type SnapshotState } from './snapshot-state.ts';
import { judgeLogs, type LoadedLog, type Verdict } from './verdict.ts';

/** What a directory holds. Reading it has changed nothing. */
export interface RecoveredState {
  readonly listing: DirectoryListing;
  readonly snapshot: SnapshotState | undefined;
  readonly storeId: Uint8Array;
  readonly verdict: Verdict;
  /** All records, ascending; chunks of the snapshot with the logs folded in. */
  readonly columns: readonly Columns[];
  readonly recordCount: number;
}

export interface RecoveryContext {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly runner: JobRunner;
  readonly signal: AbortSignal;
  readonly progress: ProgressMeter;
}

/**
 * Reads the newest snapshot and all newer logs, in parallel, and folds them.
 * @throws CorruptionError for anything that a crash cannot have left; system errors as they are
 */
export async function recover(context: RecoveryContext): Promise<RecoveredState> {
  const { fs, directory } = context;
  const listing = await listDirectory(fs, directory);
  const snapshot = await newestSnapshot(fs, directory, listing);
  const storeId = storeIdOf(snapshot);
  const loaded = await loadLogs(context, listing, snapshot, storeId);
  const verdict = judgeLogs(directory, snapshot, storeId, loaded);
  const [damage] = verdict.damages;
  if (damage !== undefined) throw new CorruptionError(damage);
  const updates = await foldAll(context, verdict.logs);
  const columns = await loadRecords(context, snapshot, storeId, updates);
  const recordCount = columns.reduce((sum, chunk) => sum + chunk.recordCount, 0);
  return { listing, snapshot, storeId, verdict, columns, recordCount };
}

/** Numbers of the logs that the snapshot does not contain. */
export function newerLogs(
  listing: DirectoryListing,
  snapshot: { readonly number: number } | undefined,
): number[] {
  const newest = snapshot?.number ?? -1;
  return listing.logs.filter((number) => number > newest);
}

async function loadLogs(
  context: RecoveryContext,
  listing: DirectoryListing,
  snapshot: SnapshotState | undefined,
  storeId: Uint8Array,
): Promise<LoadedLog[]> {
  const { directory, runner, signal, progress } = context;
  const numbers = newerLogs(listing, snapshot);
  const paths = numbers.map((number) => join(directory, logName(number)));
  const sizes = await Promise.all(paths.map((path) => context.fs.stat(path)));
  progress.begin(
    'logs',
    sizes.reduce((sum, size) => sum + size.sizeBytes, 0),
  );
  return Promise.all(
    numbers.map(async (number, i) => {
      const path = paths[i]!;
      const job = { kind: 'load-log' as const, path, number, storeId };
      const meter = progress.part();
      const result = await runner.run(job, { signal, onProgress: meter });
      return { number, path, ...result };
    }),
  );
}

function buffersOf(columns: readonly Columns[]): ArrayBuffer[] {
  return columns.map((chunk) => chunk.data.buffer as ArrayBuffer);
}

async function foldAll(
  context: RecoveryContext,
  logs: readonly LoadedLog[],
): Promise<readonly Columns[]> {
  const runs = logs.map((log) => log.run).filter((run) => run.length > 0);
  if (runs.length <= 1) return runs[0] ?? [];
  const transfer = runs.flatMap(buffersOf);
  const { signal } = context;
  const { run } = await context.runner.run({ kind: 'fold-logs', runs }, { signal, transfer });
  return run;
}

async function loadRecords(
  context: RecoveryContext,
  snapshot: SnapshotState | undefined,
  storeId: Uint8Array,
  updates: readonly Columns[],
): Promise<Columns[]> {
  const { runner, signal, progress } = context;
  progress.begin('snapshot', snapshot?.fileBytes ?? 0);
  if (snapshot === undefined || snapshot.format === 'ancestor') {
    const job = { kind: 'load-ancestor' as const, path: snapshot?.path, updates };
    const result = await runner.run(job, { signal, transfer: buffersOf(updates) });
    return chunksOf(context, result);
  }
  const ranges = splitRanges(snapshot.file.index.entries, runner.parallelism);
  const results = await Promise.all(
    ranges.map((range) => {
      const { job, transfer } = rangeJob(snapshot, storeId, range, updates);
      return runner.run(job, { signal, transfer, onProgress: progress.part() });
    }),
  );
  return results.flatMap((result) => chunksOf(context, result));
}

function chunksOf(context: RecoveryContext, result: LoadChunksResult): Columns[] {
  if (result.kind === 'corrupt') {
    throw new CorruptionError(damageDetail(context.directory, result));
  }
  return result.chunks;
}

/** Damage met by a job, with the advice for the directory that it lies in. */
export function damageDetail(directory: string, damage: JobDamage): CorruptionDetail {
  const { path, offset, reason } = damage;
  return { path, offset, reason, hint: damageHint(directory) };
}

interface ChunkRange {
  readonly first: number;
  readonly entries: readonly IndexEntry[];
  readonly from: bigint | undefined;
  readonly bound: bigint | undefined;
}

/** Cuts the chunks into a few ranges per thread, so that no thread idles at the end. */
function splitRanges(entries: readonly IndexEntry[], parallelism: number): ChunkRange[] {
  const rangeCount = Math.max(1, parallelism === 1 ? 1 : Math.min(entries.length, 4 * parallelism));
  const perRange = Math.max(1, Math.ceil(entries.length / rangeCount));
  const ranges: ChunkRange[] = [];
  for (let first = 0; first < Math.max(1, entries.length); first += perRange) {
    ranges.push({
      first,
      entries: entries.slice(first, first + perRange),
      from: first === 0 ? undefined : entries[first]!.firstKey,
      bound: entries[first + perRange]?.firstKey,
    });
  }
  return ranges;
}

/**
 * The job for a range, with the updates that touch it. Columns that lie in the range whole are handed
 * over; those across a border are copied.
 */
function rangeJob(
  snapshot: Extract<SnapshotState, { format: 'lodestore' }>,
  storeId: Uint8Array,
  range: ChunkRange,
  updates: readonly Columns[],
): { job: LoadChunksJob; transfer: ArrayBuffer[] } {
  const { from, bound } = range;
  const touching = updates.filter(
    (columns) =>
      (from === undefined || columns.lastKey >= from) &&
      (bound === undefined || columns.firstKey < bound),
  );
  const inside = touching.filter(
    (columns) =>
      (from === undefined || columns.firstKey >= from) &&
      (bound === undefined || columns.lastKey < bound),
  );
  const job: LoadChunksJob = {
    kind: 'load-chunks',
    path: snapshot.path,
    number: snapshot.number,
    storeId,
    fileBytes: snapshot.fileBytes,
    firstOrdinal: range.first,
    entries: range.entries,
    from,
    bound,
    updates: touching,
  };
  return { job, transfer: buffersOf(inside) };
}
