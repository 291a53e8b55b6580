import type { FileSystem } from '../fs/file-system.ts';
import { clockOf, MACHINE_CLOCK, type ReplicaClock } from '../replicated/node/replica-clock.ts';
import type { ReplicatedOptions } from '../replicated/node/replicated-options.ts';
import { repairReplicaIn, type RepairReport } from '../replicated/node/repair-log.ts';
import { openReplicatedIn, type ReplicatedStore } from '../replicated/node/replicated-store.ts';
import type { ReplicaEnvironment } from '../replicated/node/replica-environment.ts';
import type { ShardedOptions } from '../replicated/shards/sharded-options.ts';
import { openShardedIn, type ShardedStore } from '../replicated/shards/sharded-store.ts';
import { openStoreIn } from '../store/metadata-store.ts';
import { simulatedEnvironment } from './open-on.ts';
import { Random } from './engine/random.ts';

export interface ReplicaOnOptions {
  /** Seed of ids and nonces. Nodes of one log need different seeds. */
  readonly seed: number;
  /** Calls `ring` once after `delayMs` of simulated time. Returns a function that cancels it. */
  readonly timer?: ReplicaClock['timer'] | undefined;
}

/** Opens a node of a replicated store on a simulated file system. */
export function openReplicaOn(
  fileSystem: FileSystem,
  directory: string,
  options: ReplicatedOptions,
  { seed, timer }: ReplicaOnOptions,
): Promise<ReplicatedStore> {
  return openReplicatedIn(replicaEnvironment(fileSystem, { seed, timer }), directory, options);
}

/** Repairs a shared log from a node on a simulated file system. */
export function repairReplicaOn(
  fileSystem: FileSystem,
  directory: string,
  options: ReplicatedOptions,
  { seed, timer }: ReplicaOnOptions,
): Promise<RepairReport> {
  return repairReplicaIn(replicaEnvironment(fileSystem, { seed, timer }), directory, options);
}

/** Opens the shards of a node on a simulated file system. */
export function openShardsOn(
  fileSystem: FileSystem,
  directory: string,
  options: ShardedOptions,
  { seed, timer }: ReplicaOnOptions,
): Promise<ShardedStore> {
  return openShardedIn(replicaEnvironment(fileSystem, { seed, timer }), directory, options);
}

function replicaEnvironment(
  fileSystem: FileSystem,
  { seed, timer }: ReplicaOnOptions,
): ReplicaEnvironment {
  const random = new Random(seed);
  const simulated = simulatedEnvironment(fileSystem);
  const environment = timer === undefined ? simulated : { ...simulated, startTimer: timer };
  return {
    fileSystem,
    clock: timer === undefined ? MACHINE_CLOCK : clockOf(timer),
    randomBytes: (lengthBytes) => Uint8Array.from({ length: lengthBytes }, () => random.below(256)),
    owner: async () => {
      const identity = await simulated.identity();
      return { ...identity, nonce: 'simulated', openedAtMs: 0, epoch: undefined };
    },
    openStore: (path, storeOptions, gate) => openStoreIn(environment, path, storeOptions, gate),
  };
}
