import type { DirectoryLock } from '../directory/directory-lock.ts';
import type { Directory } from '../fs/directory.ts';
import type { Backups } from './backups.ts';
import type { BatchQueue } from './batch/batch-queue.ts';
import type { Committer } from './commit/committer.ts';
import type { LogKeeper } from './commit/log-keeper.ts';
import type { LogSync } from './commit/log-sync.ts';
import type { MergeScheduler } from './merge/merge-scheduler.ts';
import type { SpaceKeeper } from './space/space-keeper.ts';
import type { StoreObserver } from './observe/store-observer.ts';
import type { Warmth } from './warmth.ts';

/** What writes to an open store's directory. */
export interface Writer {
  readonly queue: BatchQueue;
  readonly committer: Committer;
  readonly sync: LogSync;
  readonly logs: LogKeeper;
  readonly merges: MergeScheduler;
  readonly backups: Backups;
  readonly observer: StoreObserver;
  readonly space: SpaceKeeper;
}

/** Settles what was handed in, and lets go of every file. */
export async function closeWriter(writer: Writer): Promise<void> {
  const { queue, committer, sync, logs, merges, backups } = writer;
  await queue.whenEmpty();
  sync.stop();
  await backups.close();
  await merges.close();
  await writer.space.close();
  await committer.whenIdle();
  try {
    await committer.sealForClose();
    committer.requireSynced();
  } finally {
    await logs.close();
  }
}

/** Lets go of the directory, the last of all: until then the lease and the threads use it. */
export async function releaseDirectory(
  directory: Directory,
  lock: DirectoryLock | undefined,
  warmth: Warmth,
): Promise<void> {
  try {
    await lock?.release();
  } finally {
    await warmth.stop();
    await directory.close();
  }
}
