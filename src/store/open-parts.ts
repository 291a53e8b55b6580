import { randomFillSync } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join, resolve as absolutePath } from 'node:path';
import {
  AbortedError,
  CorruptionError,
  StoreError,
  StorePoisonedError,
  systemCode,
} from '../base/errors.ts';
import { acquireDirectoryLock, type DirectoryLock } from '../directory/directory-lock.ts';
import { listDirectory } from '../directory/listing.ts';
import { STORE_ID_BYTES } from '../format/checksum.ts';
import type { Predecessor } from '../format/file-header.ts';
import { logName, snapshotName } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { nodeFileSystem } from '../fs/node-file-system.ts';
import { readProcessIdentity, type ProcessIdentity } from '../fs/process-identity.ts';
import type { MergeLog } from '../jobs/merge.ts';
import { Table } from '../table/table.ts';
import { InlineRunner, type JobRunner } from '../threads/job-runner.ts';
import { ThreadPool } from '../threads/thread-pool.ts';
import { createStore, ensureDirectory } from './creation.ts';
import { Health } from './health.ts';
import { refuseIncompleteCopy } from './incomplete-copy.ts';
import type { CurrentSnapshot } from './merge-scheduler.ts';
import { resolveOptions, type OpenOptions, type ResolvedOptions } from './options.ts';
import { ProgressMeter } from './progress-meter.ts';
import { newerLogs, recover, type RecoveredState } from './recovery.ts';
import type { Loss, RecoveryReport } from './recovery-report.ts';
import { repair } from './repair.ts';
import { salvage } from './salvage.ts';

/** Where a store lives: on the machine's file system with threads, or on a simulated one without. */
export interface StoreEnvironment {
  readonly fileSystem: FileSystem;
  /** Makes what runs the jobs of one recovery or one merge. */
  readonly makeRunner: () => JobRunner;
  /** Gives way to other work of the process. */
  readonly pause: () => Promise<void>;
  /** Who opens the store. */
  readonly identity: () => Promise<ProcessIdentity>;
  /** Bytes that nobody else has: a store's id. */
  readonly randomBytes: (lengthBytes: number) => Uint8Array;
  /** What the owner record says beside the identity; random and the time of day where it is not given. */
  readonly ownerStamp?: { readonly nonce: string; readonly openedAtMs: number };
  /** Sizes below what the options allow, so that simulated stores stay small. */
  readonly sizes?: { readonly rotateBytes?: number; readonly reserveBytes?: number };
}

/** Below this many bytes of files a thread costs more than it saves. */
const INLINE_BYTES: number = 24 * 1024 * 1024;
const MAX_THREADS = 8;

/** What an open store is made of. */
export interface OpenedParts {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly options: ResolvedOptions;
  readonly lock: DirectoryLock | undefined;
  readonly health: Health;
  readonly table: Table;
  readonly recovered: RecoveredState;
  readonly report: RecoveryReport;
  readonly epoch: number;
  readonly logs: {
    readonly closed: readonly MergeLog[];
    readonly last: Predecessor;
    readonly reserveBytes: number | undefined;
  };
  readonly snapshot: CurrentSnapshot | undefined;
  readonly makeRunner: () => JobRunner;
  readonly pause: () => Promise<void>;
  /** Hears of a poisoning, also of one that came before. */
  readonly onPoison: (listener: (error: StorePoisonedError) => void) => void;
}

const NODE_ENVIRONMENT: StoreEnvironment = {
  fileSystem: nodeFileSystem,
  makeRunner: () => new ThreadPool(1),
  pause: () => new Promise((resume) => setImmediate(resume)),
  identity: readProcessIdentity,
  randomBytes: (lengthBytes) => randomFillSync(new Uint8Array(lengthBytes)),
};

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
  readonly #health: Health = new Health((error) => this.#bell.ring(error));
  readonly #start: number = performance.now();

  constructor(environment: StoreEnvironment, directory: string, options: ResolvedOptions) {
    this.#environment = environment;
    this.#fs = environment.fileSystem;
    this.#directory = directory;
    const rotateBytes = environment.sizes?.rotateBytes ?? options.rotateBytes;
    this.#options = { ...options, rotateBytes };
  }

  async run(isReal: boolean): Promise<OpenedParts> {
    const { readOnly, createIfMissing } = this.#options;
    await ensureDirectory(this.#fs, this.#directory, createIfMissing);
    await refuseIncompleteCopy(this.#fs, this.#directory);
    const lock = readOnly ? undefined : await this.#takeLock();
    try {
      return await this.#open(lock, isReal);
    } catch (error) {
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

  async #open(lock: DirectoryLock | undefined, isReal: boolean): Promise<OpenedParts> {
    const listing = await listDirectory(this.#fs, this.#directory);
    const isNew = listing.snapshots.length === 0 && listing.logs.length === 0;
    if (isNew) await this.#createOrRefuse(lock);
    const runner = isReal ? await this.#chooseRunner(listing) : this.#environment.makeRunner();
    try {
      const losses: Loss[] = [];
      let recovered = await this.#recover(runner, lock, losses);
      if (recovered.snapshot === undefined && recovered.verdict.logs.length === 0) {
        // Only a first log that was prepared and never written: there is no store yet.
        await this.#createOrRefuse(lock);
        recovered = await this.#recover(runner, lock, losses);
      }
      const removed =
        lock === undefined
          ? []
          : await repair(this.#fs, this.#directory, recovered, () => lock.isFresh());
      return this.#parts(lock, recovered, removed, losses, runner.parallelism);
    } finally {
      await runner.close();
    }
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

  /** Threads when there is enough to read for them to be worth their start. */
  async #chooseRunner(listing: {
    readonly logs: readonly number[];
    readonly snapshots: readonly number[];
  }): Promise<JobRunner> {
    const newest = listing.snapshots.at(-1);
    const names = newerLogs(
      { ...listing, temporaries: [], hasMarker: true, foreign: [] },
      {
        number: newest ?? -1,
      },
    ).map(logName);
    if (newest !== undefined) names.push(snapshotName(newest));
    const sizes = await Promise.all(
      names.map((name) => this.#fs.stat(join(this.#directory, name))),
    );
    const totalBytes = sizes.reduce((sum, size) => sum + size.sizeBytes, 0);
    if (totalBytes < INLINE_BYTES) return new InlineRunner(this.#fs);
    return new ThreadPool(this.#options.threads ?? Math.min(availableParallelism(), MAX_THREADS));
  }

  async #recover(
    runner: JobRunner,
    lock: DirectoryLock | undefined,
    losses: Loss[],
  ): Promise<RecoveredState> {
    const signal = this.#options.signal ?? new AbortController().signal;
    const progress = new ProgressMeter(this.#options.onProgress);
    const context = { fs: this.#fs, directory: this.#directory, runner, signal, progress };
    try {
      return await recover(context);
    } catch (error) {
      const isSalvage = this.#options.recovery === 'salvage' && lock !== undefined;
      if (!isSalvage || !(error instanceof CorruptionError)) throw error;
      losses.push(...(await salvage(context, () => lock.isFresh())));
      return recover(context);
    }
  }

  #parts(
    lock: DirectoryLock | undefined,
    recovered: RecoveredState,
    removed: readonly string[],
    losses: readonly Loss[],
    threads: number,
  ): OpenedParts {
    const { verdict, snapshot, columns, recordCount } = recovered;
    const table = new Table({
      snapshot: columns,
      // The ancestor's snapshot has no chunks: the first merge replaces all that is in memory.
      diskKeys: snapshot?.format === 'lodestore' ? snapshot.file.index.entries : [],
      recordCount,
    });
    const kept = verdict.logs.filter((log) => log.scan.frameCount > 0);
    return {
      fs: this.#fs,
      directory: this.#directory,
      options: this.#options,
      lock,
      health: this.#health,
      table,
      recovered,
      report: this.#report(recovered, removed, losses, threads),
      epoch: verdict.highestEpoch + 1,
      logs: {
        last: verdict.last,
        reserveBytes: this.#environment.sizes?.reserveBytes,
        closed: kept.map(({ number, path, scan }) => ({
          number,
          path,
          lengthBytes: scan.validBytes,
          lastSequence: scan.lastSequence,
        })),
      },
      snapshot: snapshot && {
        path: snapshot.path,
        number: snapshot.number,
        format: snapshot.format,
        fileBytes: snapshot.fileBytes,
      },
      makeRunner: this.#environment.makeRunner,
      pause: this.#environment.pause,
      onPoison: (listener) => this.#bell.listen(listener),
    };
  }

  #report(
    recovered: RecoveredState,
    removed: readonly string[],
    losses: readonly Loss[],
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
      losses,
      threads,
      milliseconds: performance.now() - this.#start,
    };
  }
}
