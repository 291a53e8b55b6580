import { resolve as absolutePath } from 'node:path';
import { monotonicMs } from '../../base/timers.ts';
import {
  AbortedError,
  CorruptionError,
  DirectoryLostError,
  type FencedError,
  type StoreError,
  type StorePoisonedError,
} from '../../base/errors.ts';
import { pathOf } from '../../base/path.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import { acquireDirectoryLock } from '../../directory/directory-lock.ts';
import type { DirectoryLock } from '../../directory/held-lock.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';
import { loadNativeParts } from '../../format/native-parts.ts';
import { STORE_ID_BYTES } from '../../format/checksum.ts';
import { nextEpoch, type Predecessor } from '../../format/file-header.ts';
import { Directory } from '../../fs/directory.ts';
import type { Table } from '../../table/table.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import { ThreadPool } from '../../threads/thread-pool.ts';
import { ThreadShortage } from '../../threads/thread-shortage.ts';
import { createStore } from './creation.ts';
import type { CommitGate } from '../commit/commit-gate.ts';
import { Health } from '../commit/health.ts';
import { settledLogs } from '../follow/settled-logs.ts';
import { refuseIncompleteCopy } from '../../directory/incomplete-copy.ts';
import type { ClosedLog } from '../commit/log-keeper.ts';
import { startTimer, type StartTimer } from '../commit/log-sync.ts';
import type { CurrentSnapshot } from '../merge/snapshot-keeper.ts';
import { resolveOptions, type OpenOptions, type ResolvedOptions } from './options.ts';
import { holdsStore, noStoreError } from '../recovery/directory-state.ts';
import { ProgressMeter } from '../recovery/progress-meter.ts';
import { recover, recoverSettled, type RecoveredState } from '../recovery/recovery.ts';
import type { RecoveryContext } from '../recovery/recovery-context.ts';
import type { Loss, MovedFile, RecoveryReport } from '../recovery/recovery-report.ts';
import { environmentOf, NODE_ENVIRONMENT, standIn, type StoreEnvironment } from './environment.ts';
import { chooseRunner, otherThreads } from './recovery-runner.ts';
import { PoisonBell } from './poison-bell.ts';
import { recoveryReport, tableOf } from './recovered-store.ts';
import { repair } from './repair.ts';
import type { Retention } from '../changes/retained-logs.ts';
import { surveyRetained } from '../changes/retained-survey.ts';
import { recoverBySalvage } from '../salvage/salvage.ts';
import type { Warming } from '../recovery/warming.ts';

/** The parts of an open store. */
export interface OpenedParts {
  /** The store's directory, which stays open until the store is closed. */
  readonly fs: Directory;
  /** The real path of the directory. */
  readonly directory: string;
  readonly options: ResolvedOptions;
  readonly lock: DirectoryLock | undefined;
  readonly health: Health;
  readonly table: Table;
  readonly recovered: RecoveredState;
  /** Resolves when the threads of recovery have ended. */
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
  /** Makes the runner for the jobs of a merge or a check in the given directory. */
  readonly makeRunner: (directory: Directory) => JobRunner;
  /** Reads the directory again, up to what is settled. */
  readonly readAgain: (signal: AbortSignal) => Promise<RecoveredState>;
  readonly pause: () => Promise<void>;
  readonly startTimer: StartTimer;
  /** As of the environment. */
  readonly noteEveryMs: number | undefined;
  /** Calls the listener if no thread can be started, even if that was before this call. */
  readonly onThreadShortage: (listener: (error: StoreError) => void) => void;
  readonly gate?: CommitGate | undefined;
  /** Calls the listener when the store is poisoned, even if that was before this call. */
  readonly onPoison: (listener: (error: StorePoisonedError) => void) => void;
}

/** What salvage did, if it was needed. */
interface SalvageReport {
  readonly moved: MovedFile[];
  readonly losses: Loss[];
}

/** Locks, reads, judges and repairs a directory. On any failure the lock is released again. */
export async function openParts(
  environment: StoreEnvironment | undefined,
  givenDirectory: string | URL,
  openOptions: OpenOptions,
): Promise<OpenedParts> {
  // Absolute, because the process may change its working directory while the store is open.
  const directory = absolutePath(pathOf(givenDirectory, 'directory'));
  const options = resolveOptions(openOptions);
  try {
    if (options.signal?.aborted === true) throw options.signal.reason;
    return await openHeld(environment ?? environmentOf(options.fileSystem), directory, options);
  } catch (error) {
    if (options.signal?.aborted === true) {
      throw new AbortedError(`opening ${directory} was aborted`, {
        cause: options.signal.reason,
        path: directory,
      });
    }
    throw storeErrorOf(error, { what: 'the store could not be read or written', path: directory });
  }
}

/**
 * Opens the store in the directory that `path` denotes now. It stays open, so a change of the path
 * has no effect.
 */
async function openHeld(
  environment: StoreEnvironment,
  path: string,
  options: ResolvedOptions,
): Promise<OpenedParts> {
  const { fileSystem } = environment;
  if (options.commits === 'inline' && fileSystem.blocking === undefined) {
    throw new TypeError("options.commits 'inline' needs a file system with blocking calls");
  }
  const bell = new PoisonBell();
  const health = new Health((error) => bell.ring(error));
  loadNativeParts();
  await ensureDirectory(fileSystem, path, options.createIfMissing);
  const directory = await Directory.open(fileSystem, path, (error) => health.poisonWith(error));
  try {
    return await new Opening(environment, directory, options, { health, bell }).run();
  } catch (error) {
    await directory.close().catch(() => undefined);
    throw error;
  }
}

class Opening {
  readonly #environment: StoreEnvironment;
  readonly #fs: Directory;
  readonly #directory: string;
  readonly #options: ResolvedOptions;
  readonly #bell: PoisonBell;
  readonly #shortage: ThreadShortage;
  readonly #health: Health;
  readonly #start: number = monotonicMs();

  constructor(
    environment: StoreEnvironment,
    directory: Directory,
    options: ResolvedOptions,
    { health, bell }: { readonly health: Health; readonly bell: PoisonBell },
  ) {
    this.#environment = environment;
    this.#fs = directory;
    this.#directory = directory.realPath;
    this.#shortage = new ThreadShortage(directory.realPath);
    this.#health = health;
    this.#bell = bell;
    const rotateBytes = environment.sizes?.rotateBytes ?? options.rotateBytes;
    this.#options = { ...options, rotateBytes };
  }

  async run(): Promise<OpenedParts> {
    await refuseIncompleteCopy(this.#fs, this.#directory);
    const runner = await this.#makeRunner();
    let lock: DirectoryLock | undefined;
    try {
      lock = this.#options.readOnly ? undefined : await this.#takeLock();
      const parts = await this.#open(lock, runner);
      const makeWarmRunner = (): JobRunner =>
        this.#isReal
          ? this.#makeWarmPool()
          : this.#environment.makeRunner(this.#fs, this.#shortage.report);
      // Not awaited, because ending threads takes longer than opening a small store.
      return { ...parts, makeWarmRunner, threadsEnded: runner.close() };
    } catch (error) {
      await runner.close();
      await lock?.release().catch(() => undefined);
      throw error;
    }
  }

  get #isReal(): boolean {
    return this.#environment === NODE_ENVIRONMENT;
  }

  async #makeRunner(): Promise<JobRunner> {
    const { makeRunner, pause } = this.#environment;
    const { report } = this.#shortage;
    if (!this.#isReal) return makeRunner(this.#fs, report);
    return chooseRunner(this.#fs, this.#options, pause, report);
  }

  #makeWarmPool(): JobRunner {
    const threads = otherThreads(this.#options);
    const { reference } = this.#fs;
    return new ThreadPool(reference, threads, standIn(this.#fs), this.#shortage.report);
  }

  async #takeLock(): Promise<DirectoryLock> {
    const identity = await this.#environment.identity();
    return acquireDirectoryLock(this.#fs, this.#directory, identity, {
      ...this.#environment.ownerStamp,
      staleMs: this.#options.leaseStaleMs,
      signal: this.#options.signal,
      onWatch: (doneMs, totalMs) =>
        this.#options.onProgress?.({
          phase: 'lease',
          doneBytes: 0,
          totalBytes: 0,
          doneMs,
          totalMs,
        }),
      onLost: (error) => void this.#tellLoss(error),
    });
  }

  /** If the lease was removed with its directory, that is the cause, not another host. */
  async #tellLoss(fenced: FencedError): Promise<void> {
    const cause = await this.#fs.requireHeld().then(
      () => fenced,
      (error: unknown) => (error instanceof DirectoryLostError ? error : fenced),
    );
    this.#health.poisonWith(cause);
  }

  async #open(
    lock: DirectoryLock | undefined,
    runner: JobRunner,
  ): Promise<Omit<OpenedParts, 'threadsEnded' | 'makeWarmRunner'>> {
    const taken: SalvageReport = { moved: [], losses: [] };
    const limit = this.#options.follow && settledLogs(this.#fs);
    const recovered =
      lock === undefined
        ? await recoverSettled(() => this.#context(runner), limit)
        : await this.#recoverLocked(runner, lock, taken);
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
      if (lock !== undefined) await this.#noteEnd(lock, recovered);
      return this.#parts(lock, recovered, retention, removed, taken, runner.parallelism);
    } catch (error) {
      await recovered.warming?.stop();
      throw error;
    }
  }

  /** All is durable by now. A note of before may be of what a salvage has not left. */
  async #noteEnd(lock: DirectoryLock, { storeId, verdict }: RecoveredState): Promise<void> {
    if (this.#environment.noteEveryMs === undefined) return;
    const { number, lengthBytes, lastSequence } = verdict.last;
    await lock.recordNote({ storeId, number, lengthBytes, lastSequence }).catch(() => undefined);
  }

  #surveyRetained({ listing, snapshot }: RecoveredState): Promise<Retention> {
    const { readOnly, retainBytes } = this.#options;
    // A read-only store may deliver all retained logs.
    const limitBytes = readOnly ? Infinity : retainBytes;
    return surveyRetained(this.#fs, this.#directory, listing, snapshot, limitBytes);
  }

  async #recoverLocked(
    runner: JobRunner,
    lock: DirectoryLock,
    taken: SalvageReport,
  ): Promise<RecoveredState> {
    const recovered = await this.#recover(runner, lock, taken);
    if (holdsStore(recovered, recovered.verdict)) return recovered;
    // There is nothing, or only a first log that was prepared and never written.
    if (!this.#options.createIfMissing) throw noStoreError(this.#directory);
    const storeId = this.#environment.randomBytes(STORE_ID_BYTES);
    await createStore(this.#fs, this.#directory, storeId);
    return this.#recover(runner, lock, taken);
  }

  /** As a follower: it never shows what may still be taken back. */
  async #readAgain(signal: AbortSignal): Promise<RecoveredState> {
    const runner = await this.#makeRunner();
    const progress = new ProgressMeter(undefined);
    const own = { warm: 'before-open' as const, signal, progress };
    try {
      const makeContext = (): RecoveryContext => ({ ...this.#context(runner), ...own });
      return await recoverSettled(makeContext, settledLogs(this.#fs));
    } finally {
      await runner.close();
    }
  }

  #context(runner: JobRunner): RecoveryContext {
    const signal = this.#options.signal ?? new AbortController().signal;
    const progress = new ProgressMeter(this.#options.onProgress);
    const { pause } = this.#environment;
    const { warm } = this.#options;
    const files = { fs: this.#fs, directory: this.#directory };
    return { ...files, runner, signal, progress, pause, warm };
  }

  async #recover(
    runner: JobRunner,
    lock: DirectoryLock,
    taken: SalvageReport,
  ): Promise<RecoveredState> {
    const context = this.#context(runner);
    try {
      return await recover(context);
    } catch (error) {
      const isSalvage = this.#options.recovery === 'salvage';
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
    const table = tableOf(recovered);
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
      report: recoveryReport(recovered, {
        removed,
        ...taken,
        threads,
        milliseconds: monotonicMs() - this.#start,
      }),
      epoch: nextEpoch(verdict.highestEpoch),
      logs: {
        last: verdict.last,
        reserveBytes: this.#environment.sizes?.reserveBytes,
        closed: kept.map(({ number, path, scan }) => ({
          number,
          path,
          lengthBytes: scan.validBytes,
          // The repair has truncated what followed the last group.
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
      makeRunner: (directory) => this.#environment.makeRunner(directory, this.#shortage.report),
      readAgain: (signal) => this.#readAgain(signal),
      noteEveryMs: this.#environment.noteEveryMs,
      pause: this.#environment.pause,
      startTimer: this.#environment.startTimer ?? startTimer,
      onThreadShortage: (listener) => this.#shortage.listen(listener),
      onPoison: (listener) => this.#bell.listen(listener),
    };
  }
}
