import type { Committer } from './commit/committer.ts';
import { MergeDue } from './merge/merge-due.ts';
import type { MergeExecutor } from './merge/merge-executor.ts';
import { MergeIntake } from './merge/merge-intake.ts';
import { Merger } from './merge/merger.ts';
import { MergeScheduler } from './merge/merge-scheduler.ts';
import type { StoreFiles } from './merge/store-files.ts';
import type { StoreObserver } from './observe/store-observer.ts';
import type { OpenedStore } from './open/opened-store.ts';
import type { SpaceKeeper } from './space/space-keeper.ts';

/** What merges work on. */
export interface MergeStage {
  readonly files: StoreFiles;
  readonly space: SpaceKeeper;
  readonly committer: Committer;
  readonly executor: MergeExecutor;
  readonly observer: StoreObserver;
}

/** Connects the parts of merging. */
export function makeMerges(
  { directory, recovered, options, health }: OpenedStore,
  { files, space, committer, executor, observer }: MergeStage,
): MergeScheduler {
  const { logs, snapshots } = files;
  const { mergeBytes, logLimitBytes } = options;
  const { identity, table } = recovered;
  const intake = new MergeIntake({ logs, table, committer });
  const merger = new Merger({ directory, identity, intake, executor, snapshots, observer });
  const due = new MergeDue({ logs, table, space, snapshots, mergeBytes, logLimitBytes });
  return new MergeScheduler({ due, merger, space, health, observer });
}
