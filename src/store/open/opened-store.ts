import { monotonicMs } from '../../base/timers.ts';
import { AbortedError, DirectoryLostError, type FencedError } from '../../base/errors.ts';
import { pathOf } from '../../base/path.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import { acquireDirectoryLock } from '../../directory/lock-acquisition.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import { refuseIncompleteCopy } from '../../directory/incomplete-copy.ts';
import { loadNativeParts } from '../../format/native-parts.ts';
import { absolutePathOf } from '../../fs/absolute-path.ts';
import { Directory } from '../../fs/directory.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import type { Retention } from '../changes/retained-logs.ts';
import { surveyRetained } from '../changes/retained-survey.ts';
import { Health } from '../commit/health.ts';
import type { RecoveredState } from '../recovery/recovery.ts';
import { DirectoryReading } from './directory-reading.ts';
import { environmentOf, type StoreEnvironment } from './environment.ts';
import { resolveOptions, type OpenOptions, type ResolvedOptions } from './options.ts';
import { recoveredStore, type RecoveredStore } from './recovered-store.ts';
import { repair } from './repair.ts';
import { StoreThreads } from './store-threads.ts';

/** The result of an open. */
export interface OpenedStore {
  /** The store's directory, which stays open until the store is closed. */
  readonly directory: Directory;
  readonly environment: StoreEnvironment;
  readonly options: ResolvedOptions;
  readonly threads: StoreThreads;
  readonly health: Health;
  /** Undefined for a read-only store. */
  readonly lock: DirectoryLock | undefined;
  readonly reading: DirectoryReading;
  readonly recovered: RecoveredStore;
}

/** Locks, reads, judges and repairs a directory. On any failure the lock is released again. */
export async function openStore(
  environment: StoreEnvironment | undefined,
  givenDirectory: string | URL,
  openOptions: OpenOptions,
): Promise<OpenedStore> {
  // Absolute, because the process may change its working directory while the store is open.
  const directory = absolutePathOf(pathOf(givenDirectory, 'directory'), 'directory');
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
): Promise<OpenedStore> {
  const { fileSystem } = environment;
  if (options.commits === 'inline' && fileSystem.blocking === undefined) {
    throw new TypeError("options.commits 'inline' needs a file system with blocking calls");
  }
  const health = new Health();
  loadNativeParts();
  await ensureDirectory(fileSystem, path, options.createIfMissing);
  const directory = await Directory.open(fileSystem, path, (error) => health.poisonWith(error));
  try {
    return await new OpeningStore({ environment, directory, options, health }).run();
  } catch (error) {
    await directory.close().catch(() => undefined);
    throw error;
  }
}

interface OpeningParts {
  readonly environment: StoreEnvironment;
  readonly directory: Directory;
  readonly options: ResolvedOptions;
  readonly health: Health;
}

class OpeningStore {
  readonly #environment: StoreEnvironment;
  readonly #directory: Directory;
  readonly #options: ResolvedOptions;
  readonly #health: Health;
  readonly #threads: StoreThreads;
  readonly #reading: DirectoryReading;
  readonly #startMs: number = monotonicMs();

  constructor({ environment, directory, options: given, health }: OpeningParts) {
    const rotateBytes = environment.sizes?.rotateBytes ?? given.rotateBytes;
    const options = { ...given, rotateBytes };
    const threads = new StoreThreads(directory, environment, options);
    this.#environment = environment;
    this.#directory = directory;
    this.#options = options;
    this.#health = health;
    this.#threads = threads;
    this.#reading = new DirectoryReading({ directory, environment, options, threads });
  }

  async run(): Promise<OpenedStore> {
    await refuseIncompleteCopy(this.#directory, this.#directory.realPath);
    const runner = await this.#threads.makeForRecovery();
    let lock: DirectoryLock | undefined;
    try {
      lock = this.#options.readOnly ? undefined : await this.#takeLock();
      const recovered = await this.#recover(lock, runner);
      void this.#threads.endRecovery(runner);
      return {
        directory: this.#directory,
        environment: this.#environment,
        options: this.#options,
        threads: this.#threads,
        health: this.#health,
        lock,
        reading: this.#reading,
        recovered,
      };
    } catch (error) {
      await runner.close();
      await lock?.release().catch(() => undefined);
      throw error;
    }
  }

  async #takeLock(): Promise<DirectoryLock> {
    const identity = await this.#environment.identity();
    return acquireDirectoryLock(this.#directory, this.#directory.realPath, identity, {
      ...this.#environment.ownerStamp,
      staleMs: this.#options.leaseStaleMs,
      signal: this.#options.signal,
      isOpenElsewhere: this.#environment.isOpenElsewhere,
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
    const cause = await this.#directory.requireHeld().then(
      () => fenced,
      (error: unknown) => (error instanceof DirectoryLostError ? error : fenced),
    );
    this.#health.poisonWith(cause);
  }

  async #recover(lock: DirectoryLock | undefined, runner: JobRunner): Promise<RecoveredStore> {
    const read =
      lock === undefined
        ? await this.#reading.readUnlocked(runner)
        : await this.#reading.readLocked(runner, lock);
    try {
      const retention = await this.#surveyRetained(read.state);
      const removed = lock === undefined ? [] : await this.#repair(lock, read.state, retention);
      const { parallelism: threads } = runner;
      const startMs = this.#startMs;
      return recoveredStore(read, { retention, removed, threads, startMs });
    } catch (error) {
      await read.state.warming?.stop();
      throw error;
    }
  }

  /** Returns the names of the leftovers that it has removed. */
  async #repair(
    lock: DirectoryLock,
    state: RecoveredState,
    retention: Retention,
  ): Promise<readonly string[]> {
    const hasReserve = this.#options.reserveFileBytes > 0;
    const keeping = { retention, hasReserve };
    const path = this.#directory.realPath;
    const removed = await repair(this.#directory, path, state, keeping, lock);
    await this.#noteEnd(lock, state);
    return removed;
  }

  /** Everything is durable now. An older note may name batches that a salvage dropped. */
  async #noteEnd(lock: DirectoryLock, { storeId, verdict }: RecoveredState): Promise<void> {
    if (this.#environment.noteEveryMs === undefined) return;
    const { number, lengthBytes, lastSequence } = verdict.last;
    await lock.recordNote({ storeId, number, lengthBytes, lastSequence }).catch(() => undefined);
  }

  #surveyRetained({ listing, snapshot }: RecoveredState): Promise<Retention> {
    const { readOnly, retainBytes } = this.#options;
    // A read-only store may deliver all retained logs.
    const limitBytes = readOnly ? Infinity : retainBytes;
    const directory = this.#directory;
    return surveyRetained(directory, directory.realPath, listing, snapshot, limitBytes);
  }
}
