import { join } from 'node:path';
import { openReplicatedIn, type ReplicatedStore } from '../node/replicated-store.ts';
import type { ReplicaEnvironment } from '../node/replica-environment.ts';
import type { Signal } from '../node/signal.ts';
import type { JobSlots } from './limited-runner.ts';
import type { ShardEntry } from './shard-map.ts';
import { DEFAULT_REFRESH_MS, type ShardedOptions } from './sharded-options.ts';
import { YieldingElector } from './yielding-elector.ts';

/** A shard on this node. */
export interface OpenShard {
  readonly store: ReplicatedStore;
  /** Undefined if the shard has no elections. */
  readonly elector: YieldingElector | undefined;
}

/** What the shards of a node share. */
export interface ShardHost {
  readonly environment: ReplicaEnvironment;
  /** The directory of all shards. */
  readonly directory: string;
  readonly options: ShardedOptions;
  /** Bounds how many shards are connected, restored and recovered at a time. */
  readonly slots: JobSlots;
  /** Resolved when the shards may be elected. */
  readonly begun: Signal;
  readonly signal: AbortSignal;
}

/** Opens a shard of this node. `entry` returns its current entry of the map. */
export async function openShard(
  host: ShardHost,
  shard: number,
  entry: () => ShardEntry,
): Promise<OpenShard> {
  const leave = await host.slots.take(host.signal);
  try {
    return await openInSlot(host, shard, entry, leave);
  } finally {
    leave();
  }
}

async function openInSlot(
  { environment, directory, options, begun, signal }: ShardHost,
  shard: number,
  entry: () => ShardEntry,
  leave: () => void,
): Promise<OpenShard> {
  const { connect, address, commitTimeoutMs, checkpointEveryMs } = options;
  const { refreshMs: pollMs = DEFAULT_REFRESH_MS } = options;
  const { elector: elections, ...engine } = await connect(shard);
  const wanted = (): string | undefined => {
    const { wanted: name } = entry();
    return name === address ? undefined : name;
  };
  const { clock } = environment;
  const elector =
    elections && new YieldingElector({ elector: elections, clock, wanted, pollMs, begun });
  const local = leavingWhenRecovered(environment, leave);
  const store = await openReplicatedIn(local, join(directory, `shard-${shard}`), {
    ...options.store,
    ...engine,
    elector,
    address,
    commitTimeoutMs,
    checkpointEveryMs,
    signal,
    threads: 1,
  });
  return { store, elector };
}

/** Calls `leave` when the local store is open. The rest of the open only waits for the engine. */
function leavingWhenRecovered(
  environment: ReplicaEnvironment,
  leave: () => void,
): ReplicaEnvironment {
  return {
    ...environment,
    openStore: async (...given) => {
      try {
        return await environment.openStore(...given);
      } finally {
        leave();
      }
    },
  };
}

/**
 * The entry that names this node as the primary; undefined if another node has taken over since, or
 * nothing changes. The map wants the node no longer when it is elected, too: until then the others
 * yield.
 */
export function announcement(
  entry: ShardEntry,
  address: string,
  { store, elector }: OpenShard,
): ShardEntry | undefined {
  const { epoch } = store.stats().replica;
  if (store.role !== 'primary' || entry.epoch > epoch) return undefined;
  const isDone = entry.wanted === address && elector?.isElected !== false;
  const wanted = isDone ? undefined : entry.wanted;
  const isKnown = entry.primary === address && entry.epoch === epoch && wanted === entry.wanted;
  return isKnown ? undefined : { ...entry, primary: address, epoch, wanted };
}
