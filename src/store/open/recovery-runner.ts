import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { listDirectory } from '../../directory/listing.ts';
import { logName, snapshotName } from '../../format/file-name.ts';
import type { Pacing } from '../../base/work-slices.ts';
import type { Directory } from '../../fs/directory.ts';
import { InlineRunner, type JobRunner } from '../../threads/job-runner.ts';
import { ThreadPool } from '../../threads/thread-pool.ts';
import { hasOpenStore } from './open-stores.ts';
import type { ResolvedOptions } from './options.ts';
import { newerLogs } from '../recovery/directory-state.ts';

/**
 * For fewer bytes of files, starting a thread costs more than it saves. The thread loads and
 * compiles all code again, which takes as much as a million records.
 */
const INLINE_BYTES: number = 32 * 1024 * 1024;
/** The same while another store is open, whose event loop must not be blocked. */
const INLINE_BYTES_BESIDE_STORE: number = 256 * 1024;
const MAX_THREADS = 8;

/**
 * Chooses where recovery runs its jobs: on threads, if there is enough to read. Called before the
 * directory is locked, so that the first thread starts meanwhile. If another process changes the
 * directory in between, only the choice is not optimal.
 */
export async function chooseRunner(
  directory: Directory,
  options: Pick<ResolvedOptions, 'threads'> & Partial<Pick<ResolvedOptions, 'warm'>>,
  pacing: Pacing,
  onNoThread: (cause: Error) => void,
): Promise<JobRunner> {
  const inline = new InlineRunner(directory, pacing);
  if (options.threads === 1) return inline;
  const isBesideStore = hasOpenStore();
  const bytes = await bytesToRead(directory, options.warm);
  if (bytes < (isBesideStore ? INLINE_BYTES_BESIDE_STORE : INLINE_BYTES)) return inline;
  // This thread takes a share of the chunks, unless it serves another open store meanwhile.
  const helper = { runner: inline, role: isBesideStore ? 'stand-in' : 'share' } as const;
  const threads = bytes < INLINE_BYTES ? 1 : otherThreads(options);
  const pool = new ThreadPool(directory.reference, threads, helper, onNoThread);
  pool.startEarly();
  return pool;
}

/** Number of threads in addition to this one. */
export function otherThreads({ threads }: Pick<ResolvedOptions, 'threads'>): number {
  return Math.max(1, (threads ?? Math.min(availableParallelism(), MAX_THREADS)) - 1);
}

/** 0 if it cannot be determined. Recovery will then report the reason. */
async function bytesToRead(
  directory: Directory,
  warm: ResolvedOptions['warm'] = 'before-open',
): Promise<number> {
  try {
    const listing = await listDirectory(directory, directory.realPath);
    const newest = listing.snapshots.at(-1);
    const names = newerLogs(listing, newest === undefined ? undefined : { number: newest }).map(
      logName,
    );
    if (newest !== undefined && warm === 'before-open') names.push(snapshotName(newest));
    const paths = names.map((name) => join(directory.realPath, name));
    const sizes = await Promise.all(paths.map((path) => directory.stat(path)));
    return sizes.reduce((sum, size) => sum + size.sizeBytes, 0);
  } catch {
    return 0;
  }
}
