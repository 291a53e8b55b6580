import { openStoreIn } from '../../store/metadata-store.ts';
import { NODE_ENVIRONMENT } from '../../store/open/environment.ts';
import { MACHINE_ENVIRONMENT, type ReplicaEnvironment } from '../node/replica-environment.ts';
import { JobSlots, LimitedRunner } from './limited-runner.ts';

/** This machine, with this many threads for the jobs of all shards together. */
export function machineEnvironment(threads: number): ReplicaEnvironment {
  const slots = new JobSlots(threads);
  const environment: typeof NODE_ENVIRONMENT = {
    ...NODE_ENVIRONMENT,
    makeRunner: (directory, onNoThread) =>
      new LimitedRunner(slots, () => NODE_ENVIRONMENT.makeRunner(directory, onNoThread)),
  };
  return {
    ...MACHINE_ENVIRONMENT,
    openStore: (path, options, gate) => openStoreIn(environment, path, options, gate),
  };
}
