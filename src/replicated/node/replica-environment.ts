import { randomFillSync, randomUUID } from 'node:crypto';
import { wallMs } from '../../base/timers.ts';
import type { OwnerRecord } from '../../directory/owner-record.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readProcessIdentity } from '../../fs/process-identity.ts';
import { openStoreIn, type MetadataStore } from '../../store/metadata-store.ts';
import type { CommitGate } from '../../store/commit/commit-gate.ts';
import type { OpenOptions } from '../../store/open/options.ts';
import { MACHINE_CLOCK, type ReplicaClock } from './replica-clock.ts';

/** The environment of a replica: this machine, or a simulation. */
export interface ReplicaEnvironment {
  readonly fileSystem: FileSystem;
  readonly clock: ReplicaClock;
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
  /** The record of this process in the lock of a node's directory. */
  readonly owner: () => Promise<OwnerRecord>;
  readonly openStore: (
    directory: string,
    options: OpenOptions,
    gate: CommitGate,
  ) => Promise<MetadataStore>;
}

export const MACHINE_ENVIRONMENT: ReplicaEnvironment = {
  fileSystem: nodeFileSystem,
  clock: MACHINE_CLOCK,
  randomBytes: (lengthBytes) => randomFillSync(new Uint8Array(lengthBytes)),
  owner: async () => {
    const identity = await readProcessIdentity();
    return { ...identity, nonce: randomUUID(), openedAtMs: wallMs(), epoch: undefined };
  },
  openStore: (directory, options, gate) => openStoreIn(undefined, directory, options, gate),
};
