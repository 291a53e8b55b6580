import { MAX_TIMER_MS } from '../../base/limits.ts';
import type { ReplicaEnvironment } from './replica-environment.ts';
import type { CheckpointKeeper } from './checkpoint-keeper.ts';
import type { ReplicaRole } from './replica-host.ts';
import type { ResolvedReplicatedOptions } from './replicated-options.ts';

/** The operations that the schedule calls. */
export interface ScheduledStore {
  readonly store: { readonly role: ReplicaRole; readonly position: bigint };
  readonly keeper: CheckpointKeeper;
  readonly signal: AbortSignal;
  readonly onFailed: (error: unknown) => void;
}

/**
 * The primary leaves checkpoints to the replicas, unless none was written for this many intervals.
 */
const PRIMARY_PATIENCE = 2;

/**
 * Writes a checkpoint when none has been written for an interval, and trims the log on the primary,
 * until the store is closed. A failure is retried after the next interval. Does nothing for a store
 * that was opened without checkpoints.
 */
export async function keepCheckpoints(
  { checkpointEveryMs: everyMs, checkpoints }: ResolvedReplicatedOptions,
  { clock, randomBytes }: ReplicaEnvironment,
  { store, keeper, signal, onFailed }: ScheduledStore,
): Promise<void> {
  if (everyMs === 0 || checkpoints === undefined) return;
  let known: bigint | undefined;
  let intervals = 0;
  while (!signal.aborted) {
    // A random share, so that nodes started together do not write together.
    const share = randomBytes(1)[0]! / 256;
    const pauseMs = Math.min(everyMs * (1 + share / 4), MAX_TIMER_MS);
    await clock.sleep(pauseMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const newest = await keeper.newest();
      intervals = newest === known ? intervals + 1 : 0;
      known = newest;
      const patience = store.role === 'primary' ? PRIMARY_PATIENCE : 1;
      if (intervals >= patience && store.position > (newest ?? 0n)) await keeper.write();
      if (store.role === 'primary') await keeper.trim();
    } catch (error) {
      onFailed(error);
    }
  }
}
