import { GroupEncoder } from '../log/group-encoder.ts';
import { BatchJudge } from './commit/batch-judge.ts';
import type { BatchQueue } from './batch/batch-queue.ts';
import type { CommitGate } from './commit/commit-gate.ts';
import { Committer, type Admission } from './commit/committer.ts';
import type { Fence } from './commit/fence.ts';
import { GroupCommit } from './commit/group-commit.ts';
import { GroupWriter } from './commit/group-writer.ts';
import type { LogKeeper } from './commit/log-keeper.ts';
import { LogRotation } from './commit/log-rotation.ts';
import { LogSync, type StartTimer } from './commit/log-sync.ts';
import { Publisher } from './commit/publisher.ts';
import type { StoreObserver } from './observe/store-observer.ts';
import { pacingOf } from './open/environment.ts';
import type { OpenedStore } from './open/opened-store.ts';
import type { SpaceKeeper } from './space/space-keeper.ts';

/** What the commit loop works on. */
export interface CommitStage {
  readonly queue: BatchQueue;
  readonly space: SpaceKeeper;
  readonly logs: LogKeeper;
  readonly fence: Fence;
  readonly observer: StoreObserver;
}

/** Callbacks of the commit loop. */
export interface CommitHooks extends Admission {
  readonly startTimer: StartTimer;
  readonly gate: CommitGate | undefined;
  /** Deferred batches have become durable. */
  readonly onSynced: () => void;
  readonly onCommitted: () => void;
  /** See `LogRotationParts`. */
  readonly onEnded: () => void;
}

/** Connects the parts of the commit loop. */
export function makeCommitter(
  { options, environment, recovered }: OpenedStore,
  { queue, space, logs, fence, observer }: CommitStage,
  hooks: CommitHooks,
): Committer {
  const { table } = recovered;
  const pause = options.commits === 'inline' ? undefined : environment.pause;
  const pacing = pause && pacingOf(environment);
  const stats = observer.commits;
  const { startTimer, onEnded, onCommitted, gate } = hooks;
  const sync = new LogSync({
    logs,
    fence,
    startTimer,
    syncEveryMs: options.durability.syncEveryMs,
    onDue: () => committer.wake(),
    onSynced: (syncMs) => {
      stats.synced(syncMs);
      hooks.onSynced();
    },
  });
  const judge = new BatchJudge({ queue, space, table, pacing, gate });
  const publisher = new Publisher({ table, stats, pacing, gate });
  const encoder = new GroupEncoder(options.compressionLevel, pause);
  const writer = new GroupWriter({ encoder, publisher, sync, fence, stats, gate });
  const rotation = new LogRotation({ logs, writer, sync, space, observer, onEnded });
  const group = new GroupCommit({ judge, publisher, writer, rotation, space, onCommitted });
  const committer: Committer = new Committer({
    queue,
    admission: hooks,
    group,
    sync,
    fence,
    observer,
  });
  return committer;
}
