import { setImmediate } from '../../base/timers.ts';
import { randomFillSync } from 'node:crypto';
import type { Directory } from '../../fs/directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readProcessIdentity, type ProcessIdentity } from '../../fs/process-identity.ts';
import { InlineRunner, type JobRunner } from '../../threads/job-runner.ts';
import { ThreadPool, type Helper } from '../../threads/thread-pool.ts';
import type { StartTimer } from '../commit/log-sync.ts';

/**
 * Where a store lives: on the machine's file system with threads, or on another one without.
 */
export interface StoreEnvironment {
  readonly fileSystem: FileSystem;
  /**
   * Makes what runs the jobs of one recovery or one merge, on files of this directory; `onNoThread`
   * hears when no thread can be had for it.
   */
  readonly makeRunner: (directory: Directory, onNoThread: (cause: Error) => void) => JobRunner;
  /** Gives way to other work of the process. */
  readonly pause: () => Promise<void>;
  /** The clock of deferred batches; that of the machine where it is not given. */
  readonly startTimer?: StartTimer;
  /** Who opens the store. */
  readonly identity: () => Promise<ProcessIdentity>;
  /** Bytes that nobody else has: a store's id. */
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
  /**
   * What the owner record says beside the identity; random and the time of day where it is not
   * given.
   */
  readonly ownerStamp?: { readonly nonce: string; readonly openedAtMs: number };
  /** Sizes below what the options allow, so that simulated stores stay small. */
  readonly sizes?: { readonly rotateBytes?: number; readonly reserveBytes?: number };
}

function pauseOnNode(): Promise<void> {
  return new Promise((resume) => setImmediate(resume));
}

/** Runs jobs on this thread where no other can be started. */
export function standIn(directory: Directory): Helper {
  return { runner: new InlineRunner(directory, pauseOnNode), role: 'stand-in' };
}

export const NODE_ENVIRONMENT: StoreEnvironment = {
  fileSystem: nodeFileSystem,
  makeRunner: (directory, onNoThread) =>
    new ThreadPool(directory.reference, 1, standIn(directory), onNoThread, 'low'),
  pause: pauseOnNode,
  identity: readProcessIdentity,
  randomBytes: (lengthBytes) => randomFillSync(new Uint8Array(lengthBytes)),
};

/** The machine; for another file system without threads, which cannot reach it. */
export function environmentOf(fileSystem: FileSystem = nodeFileSystem): StoreEnvironment {
  if (fileSystem === nodeFileSystem) return NODE_ENVIRONMENT;
  const makeRunner = (directory: Directory): JobRunner => standIn(directory).runner;
  return { ...NODE_ENVIRONMENT, fileSystem, makeRunner };
}
