import type { ReplicaClock } from './replica-clock.ts';
import type { ReplicaEnvironment } from './replica-environment.ts';
import type { ReplicaFiles } from './replica-files.ts';
import type { ReplicaRole } from './replica-node.ts';
import type { ResolvedReplicatedOptions } from './replicated-options.ts';

interface CheckpointScheduleParts {
  readonly everyMs: number;
  readonly clock: ReplicaClock;
  readonly signal: AbortSignal;
  /** Returns a number in [0, 1), so that nodes started together do not write together. */
  readonly random: () => number;
  readonly role: () => ReplicaRole;
  readonly position: () => bigint;
  /** Position of the newest checkpoint; undefined if there is none. */
  readonly newest: () => Promise<bigint | undefined>;
  readonly write: () => Promise<unknown>;
  readonly trim: () => Promise<unknown>;
  readonly onFailed: (error: unknown) => void;
}

/** The operations that the schedule calls. */
export interface ScheduledStore {
  readonly store: {
    readonly role: ReplicaRole;
    readonly position: bigint;
    checkpoint(): Promise<unknown>;
    trim(): Promise<unknown>;
  };
  readonly files: ReplicaFiles;
  readonly signal: AbortSignal;
  readonly onFailed: (error: unknown) => void;
}

/**
 * The primary leaves checkpoints to the replicas, unless none was written for this many intervals.
 */
const PRIMARY_PATIENCE = 2;

/**
 * Writes a checkpoint when none has been written for an interval, and trims the log on the primary.
 * A failure is retried after the next interval.
 */
async function runCheckpointSchedule(parts: CheckpointScheduleParts): Promise<void> {
  const { everyMs, clock, signal, random } = parts;
  let known: bigint | undefined;
  let intervals = 0;
  while (!signal.aborted) {
    await clock.sleep(everyMs * (1 + random() / 4), signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const newest = await parts.newest();
      intervals = newest === known ? intervals + 1 : 0;
      known = newest;
      const patience = parts.role() === 'primary' ? PRIMARY_PATIENCE : 1;
      if (intervals >= patience && parts.position() > (newest ?? 0n)) await parts.write();
      if (parts.role() === 'primary') await parts.trim();
    } catch (error) {
      parts.onFailed(error);
    }
  }
}

/** Runs the schedule of a store that was opened with checkpoints, until it is closed. */
export async function keepCheckpoints(
  { checkpointEveryMs: everyMs, checkpoints }: ResolvedReplicatedOptions,
  { clock, randomBytes }: ReplicaEnvironment,
  { store, files, signal, onFailed }: ScheduledStore,
): Promise<void> {
  if (everyMs === 0 || checkpoints === undefined) return;
  await runCheckpointSchedule({
    everyMs,
    signal,
    clock,
    onFailed,
    random: () => randomBytes(1)[0]! / 256,
    role: () => store.role,
    position: () => store.position,
    newest: () => files.newestCheckpoint(signal),
    write: () => store.checkpoint(),
    trim: () => store.trim(),
  });
}
