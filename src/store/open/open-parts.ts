import { randomFillSync } from 'node:crypto';
import { resolve as absolutePath } from 'node:path';
import {
  AbortedError,
  CorruptionError,
  StoreError,
  StorePoisonedError,
  systemCode,
} from '../../base/errors.ts';
import { acquireDirectoryLock, type DirectoryLock } from '../../directory/directory-lock.ts';
import { listDirectory } from '../../directory/listing.ts';
import { STORE_ID_BYTES } from '../../format/checksum.ts';
import { nextEpoch, type Predecessor } from '../../format/file-header.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readProcessIdentity, type ProcessIdentity } from '../../fs/process-identity.ts';
import { Table } from '../../table/table.ts';
import { InlineRunner, type JobRunner } from '../../threads/job-runner.ts';
import { ThreadPool, type Helper } from '../../threads/thread-pool.ts';
import { ThreadShortage } from '../../threads/thread-shortage.ts';
import { createStore, ensureDirectory } from './creation.ts';
import { Health } from '../commit/health.ts';
import { refuseIncompleteCopy } from '../../directory/incomplete-copy.ts';
import type { ClosedLog } from '../commit/log-keeper.ts';
import { startTimer, type StartTimer } from '../commit/log-sync.ts';
import type { CurrentSnapshot } from '../merge/merge-scheduler.ts';
import { resolveOptions, type OpenOptions, type ResolvedOptions } from './options.ts';
import { ProgressMeter } from '../recovery/progress-meter.ts';
import { recover, recoveredColumns, type RecoveredState } from '../recovery/recovery.ts';
import type { Loss, MovedFile, RecoveryReport } from '../recovery/recovery-report.ts';
import { chooseRunner, otherThreads } from './recovery-runner.ts';
import { repair } from './repair.ts';
import type { Retention } from '../changes/retained-logs.ts';
import { surveyRetained } from '../changes/retained-survey.ts';
import { recoverBySalvage } from '../salvage/salvage.ts';
import type { Warming } from '../recovery/warming.ts';

/** Where a store lives: on the machine's file system with threads, or on a simulated one without. */
export interface StoreEnvironment {
  readonly fileSystem: FileSystem;
  /** Makes what runs the jobs of one recovery or one merge; `onNoThread` hears when no thread can be had for it. */
  readonly makeRunner: (onNoThread: (cause: Error) => void) => JobRunner;
  /** Gives way to other work of the process. */
  readonly pause: () => Promise<void>;
  /** The clock of deferred batches; that of the machine where it is not given. */
  readonly startTimer?: StartTimer;
  /** Who opens the store. */
  readonly identity: () => Promise<ProcessIdentity>;
  /** Bytes that nobody else has: a store's id. */
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
  /** What the owner record says beside the identity; random and the time of day where it is not given. */
  readonly ownerStamp?: { readonly nonce: string; readonly openedAtMs: number };
  /** Sizes below what the options allow, so that simulated stores stay small. */
  readonly sizes?: { readonly rotateBytes?: number; readonly reserveBytes?: number };
}

/** What an open store is made of. */
export interface OpenedParts {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly options: ResolvedOptions;
  readonly lock: DirectoryLock | undefined;
  readonly health: Health;
  readonly table: Table;
  readonly recovered: RecoveredState;
  /** Resolves when the threads of recovery are gone. */
  readonly threadsEnded: Promise<void>;
  readonly warming: Warming | undefined;
  readonly makeWarmRunner: () => JobRunner;
  readonly report: RecoveryReport;
  readonly epoch: number;
  readonly logs: {
    readonly closed: readonly ClosedLog[];
    readonly last: Predecessor;
    readonly reserveBytes: number | undefined;
  };
  readonly retention: Retention;
  readonly snapshot: CurrentSnapshot | undefined;
  readonly makeRunner: () => JobRunner;
  readonly pause: () => Promise<void>;
  readonly startTimer: StartTimer;
  /** Hears that no thread can be started, also when that was before. */
  readonly onThreadShortage: (listener: (error: StoreError) => void) => void;
  /** Hears of a poisoning, also of one that came before. */
  readonly onPoison: (listener: (error: StorePoisonedError) => void) => void;
}

function pauseOnNode(): Promise<void> {
  return new Promise((resume) => setImmediate(resume));
}

/** Runs jobs on this thread where no other can be started. */
const STAND_IN: Helper = {
  runner: new InlineRunner(nodeFileSystem, pauseOnNode),
  role: 'stand-in',
};

const NODE_ENVIRONMENT: StoreEnvironment = {
  fileSystem: nodeFileSystem,
  makeRunner: (onNoThread) => new ThreadPool(1, STAND_IN, onNoThread, 'low'),
  pause: pauseOnNode,
  identity: readProcessIdentity,
  randomBytes: (lengthBytes) => randomFillSync(new Uint8Array(lengthBytes)),
};

/** What salvage did, if it was needed. */
interface SalvageReport {
  readonly moved: MovedFile[];
  readonly losses: Loss[];
}

/** Tells whoever listens, then or later, of the first poisoning. */
class PoisonBell {
  #error: StorePoisonedError | undefined;
  #listener: ((error: StorePoisonedError) => void) | undefined;

  ring(error: StorePoisonedError): void {
    this.#error ??= error;
    this.#listener?.(error);
  }

  listen(listener: (error: StorePoisonedError) => void): void {
    this.#listener = listener;
    if (this.#error !== undefined) listener(this.#error);
  }
}

/** Locks, reads, judges and repairs a directory. On any failure the lock is released again. */
export async function openParts(
  environment: StoreEnvironment | undefined,
  givenDirectory: string,
  openOptions: OpenOptions,
): Promise<OpenedParts> {
  if (
    typeof givenDirectory !== 'string' ||
    givenDirectory === '' ||
    givenDirectory.includes('\0')
  ) {
    throw new TypeError('directory must be a path');
  }
  // The process may change its working directory while the store is open.
  const directory = absolutePath(givenDirectory);
  const options = resolveOptions(openOptions);
  const opening = new Opening(environment ?? NODE_ENVIRONMENT, directory, options);
  try {
    if (options.signal?.aborted === true) throw options.signal.reason;
    return await opening.run(environment === undefined);
  } catch (error) {
    if (options.signal?.aborted === true) {
      throw new AbortedError(`opening ${directory} was given up`, {
        cause: options.signal.reason,
        path: directory,
      });
    }
    throw asStoreError(error, directory);
  }
}

/** System errors keep their code as `cause`; what is not a system error is passed on. */
function asStoreError(error: unknown, directory: string): unknown {
  const code = systemCode(error);
  if (error instanceof StoreError || code === undefined || error instanceof TypeError) return error;
  const path = (error as { path?: unknown }).path;
  const where = typeof path === 'string' ? path : directory;
  return new StoreError('LODESTORE_IO', `${where} could not be read or written: ${code}`, {
    cause: error,
    path: where,
  });
}

class Opening {
  readonly #environment: StoreEnvironment;
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #options: ResolvedOptions;
  readonly #bell: PoisonBell = new PoisonBell();
  readonly #shortage: ThreadShortage;
  readonly #health: Health = new Health((error) => this.#bell.ring(error));
  readonly #start: number = performance.now();

  constructor(environment: StoreEnvironment, directory: string, options: ResolvedOptions) {
    this.#environment = environment;
    this.#fs = environment.fileSystem;
    this.#shortage = new ThreadShortage(directory);
    this.#directory = directory;
    const rotateBytes = environment.sizes?.rotateBytes ?? options.rotateBytes;
    this.#options = { ...options, rotateBytes };
  }

  async run(isReal: boolean): Promise<OpenedParts> {
    const { readOnly, createIfMissing } = this.#options;
    await ensureDirectory(this.#fs, this.#directory, createIfMissing);
    await refuseIncompleteCopy(this.#fs, this.#directory);
    const { makeRunner, pause } = this.#environment;
    const runner = isReal
      ? await chooseRunner(this.#fs, this.#directory, this.#options, pause, this.#shortage.report)
      : makeRunner(this.#shortage.report);
    let lock: DirectoryLock | undefined;
    try {
      lock = readOnly ? undefined : await this.#takeLock();
      const parts = await this.#open(lock, runner);
      const makeWarmRunner = (): JobRunner =>
        isReal
          ? new ThreadPool(otherThreads(this.#options), STAND_IN, this.#shortage.report)
          : makeRunner(this.#shortage.report);
      // Ending threads takes longer than opening a small store.
      return { ...parts, makeWarmRunner, threadsEnded: runner.close() };
    } catch (error) {
      await runner.close();
      await lock?.release().catch(() => undefined);
      throw error;
    }
  }

  async #takeLock(): Promise<DirectoryLock> {
    const identity = await this.#environment.identity();
    return acquireDirectoryLock(this.#fs, this.#directory, identity, {
      ...this.#environment.ownerStamp,
      staleMs: this.#options.leaseStaleMs,
      onLost: (error) => this.#health.poisonWith(error),
    });
  }

  async #open(
    lock: DirectoryLock | undefined,
    runner: JobRunner,
  ): Promise<Omit<OpenedParts, 'threadsEnded' | 'makeWarmRunner'>> {
    const listing = await listDirectory(this.#fs, this.#directory);
    const isNew = listing.snapshots.length === 0 && listing.logs.length === 0;
    if (isNew) await this.#createOrRefuse(lock);
    const taken: SalvageReport = { moved: [], losses: [] };
    let recovered = await this.#recover(runner, lock, taken);
    if (recovered.snapshot === undefined && recovered.verdict.logs.length === 0) {
      // Only a first log that was prepared and never written: there is no store yet.
      await this.#createOrRefuse(lock);
      recovered = await this.#recover(runner, lock, taken);
    }
    try {
      const retention = await this.#surveyRetained(recovered);
      const removed =
        lock === undefined
          ? []
          : await repair(
              this.#fs,
              this.#directory,
              recovered,
              { retention, hasReserve: this.#options.reserveFileBytes > 0 },
              lock,
            );
      return this.#parts(lock, recovered, retention, removed, taken, runner.parallelism);
    } catch (error) {
      await recovered.warming?.stop();
      throw error;
    }
  }

  #surveyRetained({ listing, snapshot }: RecoveredState): Promise<Retention> {
    const { readOnly, retainBytes } = this.#options;
    // Who only reads may follow all that is there.
    const limitBytes = readOnly ? Infinity : retainBytes;
    return surveyRetained(this.#fs, this.#directory, listing, snapshot, limitBytes);
  }

  async #createOrRefuse(lock: DirectoryLock | undefined): Promise<void> {
    if (lock !== undefined && this.#options.createIfMissing) {
      const storeId = this.#environment.randomBytes(STORE_ID_BYTES);
      await createStore(this.#fs, this.#directory, storeId);
      return;
    }
    throw new StoreError('LODESTORE_NOT_FOUND', `there is no store in ${this.#directory}`, {
      path: this.#directory,
    });
  }

  async #recover(
    runner: JobRunner,
    lock: DirectoryLock | undefined,
    taken: SalvageReport,
  ): Promise<RecoveredState> {
    const signal = this.#options.signal ?? new AbortController().signal;
    const progress = new ProgressMeter(this.#options.onProgress);
    const { pause } = this.#environment;
    const { warm } = this.#options;
    const files = { fs: this.#fs, directory: this.#directory };
    const context = { ...files, runner, signal, progress, pause, warm };
    try {
      return await recover(context);
    } catch (error) {
      const isSalvage = this.#options.recovery === 'salvage' && lock !== undefined;
      if (!isSalvage || !(error instanceof CorruptionError)) throw error;
      const salvaged = await recoverBySalvage(context, lock);
      taken.moved.push(...salvaged.moved);
      taken.losses.push(...salvaged.losses);
      return salvaged.recovered;
    }
  }

  #parts(
    lock: DirectoryLock | undefined,
    recovered: RecoveredState,
    retention: Retention,
    removed: readonly string[],
    taken: SalvageReport,
    threads: number,
  ): Omit<OpenedParts, 'threadsEnded' | 'makeWarmRunner'> {
    const { verdict, snapshot } = recovered;
    const contentHash = knownContent(recovered);
    const table = new Table({ ...recoveredColumns(recovered), contentHash });
    const kept = verdict.logs.filter((log) => log.scan.frameCount > 0);
    return {
      fs: this.#fs,
      directory: this.#directory,
      options: this.#options,
      lock,
      health: this.#health,
      table,
      recovered,
      warming: recovered.warming,
      report: this.#report(recovered, removed, taken, threads),
      epoch: nextEpoch(verdict.highestEpoch),
      logs: {
        last: verdict.last,
        reserveBytes: this.#environment.sizes?.reserveBytes,
        closed: kept.map(({ number, path, scan }) => ({
          number,
          path,
          lengthBytes: scan.validBytes,
          // The repair has cut off what lay behind the last group.
          fileBytes: verdict.tail?.path === path ? scan.validBytes : scan.fileBytes,
          lastSequence: scan.lastSequence,
        })),
      },
      retention,
      snapshot: snapshot && {
        path: snapshot.path,
        number: snapshot.number,
        format: snapshot.format,
        fileBytes: snapshot.fileBytes,
      },
      makeRunner: () => this.#environment.makeRunner(this.#shortage.report),
      pause: this.#environment.pause,
      startTimer: this.#environment.startTimer ?? startTimer,
      onThreadShortage: (listener) => this.#shortage.listen(listener),
      onPoison: (listener) => this.#bell.listen(listener),
    };
  }

  #report(
    recovered: RecoveredState,
    removed: readonly string[],
    taken: SalvageReport,
    threads: number,
  ): RecoveryReport {
    const { verdict, snapshot, recordCount, listing } = recovered;
    const sum = (of: (scan: (typeof verdict.logs)[number]['scan']) => number): number =>
      verdict.logs.reduce((total, log) => total + of(log.scan), 0);
    return {
      snapshot: snapshot && {
        number: snapshot.number,
        format: snapshot.format,
        bytes: snapshot.fileBytes,
        records:
          snapshot.format === 'lodestore' ? snapshot.file.index.totals.recordCount : undefined,
      },
      logs: verdict.logs.length,
      logBytes: sum((scan) => scan.validBytes),
      batches: sum((scan) => scan.batchCount),
      updates: sum((scan) => scan.recordCount),
      records: recordCount,
      lastSequence: verdict.last.lastSequence,
      tornTail: verdict.torn,
      foreignNames: listing.foreign,
      removed,
      ...taken,
      threads,
      milliseconds: performance.now() - this.#start,
    };
  }
}

/** The snapshot's content hash is that of all records when no log has been folded into it. */
function knownContent({ snapshot, verdict }: RecoveredState): bigint | undefined {
  const isFolded = verdict.logs.some((log) => log.scan.recordCount > 0);
  if (isFolded || snapshot?.format !== 'lodestore') return undefined;
  return snapshot.file.index.totals.contentHash;
}
