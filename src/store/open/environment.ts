import { SLICE_MS, type Pacing } from '../../base/work-slices.ts';
import { setImmediate } from '../../base/timers.ts';
import { randomFillSync } from 'node:crypto';
import { isOpenElsewhere } from '../../directory/live-owner.ts';
import type { IsOpenElsewhere } from '../../directory/lock-acquisition.ts';
import type { Directory } from '../../fs/directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readProcessIdentity, type ProcessIdentity } from '../../fs/process-identity.ts';
import { InlineRunner, type JobRunner } from '../../threads/job-runner.ts';
import { ThreadPool, type Helper } from '../../threads/thread-pool.ts';
import { startTimer, type StartTimer } from '../commit/log-sync.ts';

/**
 * The environment of a store: the machine's file system with threads, or another one without.
 */
export interface StoreEnvironment {
  readonly fileSystem: FileSystem;
  /**
   * Makes the runner for the jobs of one recovery or one merge in this directory. `onNoThread` is
   * called if no thread can be started.
   */
  readonly makeRunner: (directory: Directory, onNoThread: (cause: Error) => void) => JobRunner;
  /** Yields to other work of the process. */
  readonly pause: () => Promise<void>;
  /** How long work goes on before it pauses. 0: it pauses at each check. Default: SLICE_MS. */
  readonly sliceMs?: number;
  /** The timer of deferred batches. Default: that of the machine. */
  readonly startTimer?: StartTimer;
  /** The process that opens the store. */
  readonly identity: () => Promise<ProcessIdentity>;
  /** Default: no owner has the store open while the kernel lock is free. */
  readonly isOpenElsewhere?: IsOpenElsewhere;
  /** Random bytes for a store's id. */
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
  /** The rest of the owner record. Default: a random nonce and the time of day. */
  readonly ownerStamp?: { readonly nonce: string; readonly openedAtMs: number };
  /** The shortest time between two notes for followers; none are written where it is not given. */
  readonly noteEveryMs?: number;
  /** Sizes below the minimum of the options, so that simulated stores stay small. */
  readonly sizes?: { readonly rotateBytes?: number; readonly reserveBytes?: number };
}

/** A note takes a write of one sector to the page cache, without a sync. */
const NOTE_EVERY_MS = 50;

function pauseOnNode(): Promise<void> {
  return new Promise((resume) => setImmediate(resume));
}

/** A helper that runs jobs on this thread if no other can be started. */
export function standIn(directory: Directory): Helper {
  const pacing = { pause: pauseOnNode, sliceMs: SLICE_MS };
  return { runner: new InlineRunner(directory, pacing), role: 'stand-in' };
}

/** How work on the event loop is divided. */
export function pacingOf({ pause, sliceMs = SLICE_MS }: StoreEnvironment): Pacing {
  return { pause, sliceMs };
}

export const NODE_ENVIRONMENT: StoreEnvironment = {
  fileSystem: nodeFileSystem,
  makeRunner: (directory, onNoThread) =>
    new ThreadPool(directory.reference, 1, standIn(directory), onNoThread, 'low'),
  pause: pauseOnNode,
  noteEveryMs: NOTE_EVERY_MS,
  identity: readProcessIdentity,
  isOpenElsewhere,
  randomBytes: (lengthBytes) => randomFillSync(new Uint8Array(lengthBytes)),
};

export function timerOf(environment: StoreEnvironment): StartTimer {
  return environment.startTimer ?? startTimer;
}

/** The machine's environment. For another file system: without threads, which cannot access it. */
export function environmentOf(fileSystem: FileSystem = nodeFileSystem): StoreEnvironment {
  if (fileSystem === nodeFileSystem) return NODE_ENVIRONMENT;
  const makeRunner = (directory: Directory): JobRunner => standIn(directory).runner;
  return { ...NODE_ENVIRONMENT, fileSystem, makeRunner };
}
