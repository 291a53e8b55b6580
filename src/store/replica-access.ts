import { LogReader, type LogGroup } from '../log/log-reader.ts';
import { CorruptionError } from '../base/errors.ts';
import type { Table } from '../table/table.ts';
import type { BatchQueue } from './batch/batch-queue.ts';
import type { ReplicaAccess } from './commit/commit-gate.ts';
import type { Committer } from './commit/committer.ts';
import type { ClosedLog, LogKeeper } from './commit/log-keeper.ts';
import type { OpenedStore } from './open/opened-store.ts';
import { damageHint } from './recovery/advice.ts';

interface WrittenParts {
  readonly table: () => Table;
  readonly logs: LogKeeper;
  readonly committer: Committer;
  readonly queue: BatchQueue;
}

/** What the gate of a replicated store may use of its store. */
export function replicaAccess(
  opened: OpenedStore,
  { table, logs, committer, queue }: WrittenParts,
): ReplicaAccess {
  return {
    storeId: opened.recovered.identity.storeId,
    get lastSequence() {
      return logs.lastSequence;
    },
    get lastSyncedSequence() {
      return logs.acknowledged.lastSequence;
    },
    table,
    apply: (group) => committer.arrivals.add(group),
    giveUp: (inFlight, queued) => {
      queue.rejectInFlight(inFlight);
      queue.rejectQueued(queued);
    },
    groupsAfter: (sequence) => groupsAfter(opened, logs.closedLogs, sequence),
  };
}

async function* groupsAfter(
  { directory, recovered }: OpenedStore,
  logs: readonly ClosedLog[],
  sequence: bigint,
): AsyncGenerator<LogGroup, void, void> {
  for (const log of logs) {
    if (log.lastSequence <= sequence) continue;
    const reader = await LogReader.open(
      directory,
      log.path,
      log.number,
      recovered.identity.storeId,
    );
    try {
      while (reader.offset < log.lengthBytes) {
        const step = await reader.next(log.lengthBytes, sequence);
        if (step.kind === 'group') yield step.group;
        else if (step.kind === 'unfinished' || step.kind === 'corrupt') {
          const { path, offset } = reader;
          const hint = damageHint(directory.realPath);
          throw new CorruptionError({ path, offset, reason: step.reason, hint });
        }
      }
    } finally {
      await reader.close();
    }
  }
}
