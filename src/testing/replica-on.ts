import type { FileSystem } from '../fs/file-system.ts';
import { clockOf, MACHINE_CLOCK, type ReplicaClock } from '../replicated/node/replica-clock.ts';
import type { ReplicatedOptions } from '../replicated/node/replicated-options.ts';
import { openReplicatedIn, type ReplicatedStore } from '../replicated/node/replicated-store.ts';
import { openStoreIn } from '../store/metadata-store.ts';
import { simulatedEnvironment } from './open-on.ts';
import { Random } from './engine/random.ts';

export interface ReplicaOnOptions {
  /** Seed of ids and nonces. Nodes of one log need different ones. */
  readonly seed: number;
  /** Calls `ring` once after `delayMs` of simulated time; returns what stops it. */
  readonly timer?: ReplicaClock['timer'] | undefined;
}

/** Opens a node of a replicated store on a simulated file system. */
export function openReplicaOn(
  fileSystem: FileSystem,
  directory: string,
  options: ReplicatedOptions,
  { seed, timer }: ReplicaOnOptions,
): Promise<ReplicatedStore> {
  const random = new Random(seed);
  const simulated = simulatedEnvironment(fileSystem);
  const environment = timer === undefined ? simulated : { ...simulated, startTimer: timer };
  return openReplicatedIn(
    {
      fileSystem,
      clock: timer === undefined ? MACHINE_CLOCK : clockOf(timer),
      randomBytes: (lengthBytes) =>
        Uint8Array.from({ length: lengthBytes }, () => random.below(256)),
      openStore: (path, storeOptions, gate) => openStoreIn(environment, path, storeOptions, gate),
    },
    directory,
    options,
  );
}
