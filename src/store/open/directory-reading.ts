import { CorruptionError } from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import { STORE_ID_BYTES } from '../../format/checksum.ts';
import type { Directory } from '../../fs/directory.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import { settledLogs } from '../follow/settled-logs.ts';
import { holdsStore, noStoreError } from '../recovery/directory-state.ts';
import { ProgressMeter } from '../recovery/progress-meter.ts';
import { recover, recoverSettled, type RecoveredState } from '../recovery/recovery.ts';
import type { RecoveryContext } from '../recovery/recovery-context.ts';
import type { Loss, MovedFile } from '../recovery/recovery-report.ts';
import { recoverBySalvage } from '../salvage/salvage.ts';
import { createStore } from './creation.ts';
import type { StoreEnvironment } from './environment.ts';
import type { ResolvedOptions } from './options.ts';
import type { StoreThreads } from './store-threads.ts';

export interface DirectoryReadingParts {
  readonly directory: Directory;
  readonly environment: StoreEnvironment;
  readonly options: ResolvedOptions;
  readonly threads: StoreThreads;
}

/** What salvage did, if it was needed. */
interface SalvageReport {
  readonly moved: readonly MovedFile[];
  readonly losses: readonly Loss[];
}

/** A directory as it was read. */
export interface ReadDirectory extends SalvageReport {
  readonly state: RecoveredState;
}

/** Reads the directory of a store, as its options say. */
export class DirectoryReading {
  readonly #parts: DirectoryReadingParts;

  constructor(parts: DirectoryReadingParts) {
    this.#parts = parts;
  }

  /** For a reader, while another store may write. */
  async readUnlocked(runner: JobRunner): Promise<ReadDirectory> {
    const { directory, options } = this.#parts;
    const limit = options.follow && settledLogs(directory);
    const state = await recoverSettled(() => this.#context(runner), limit);
    return { state, moved: [], losses: [] };
  }

  /** For the writer. Creates the store if there is none, and repairs damage, if it may. */
  async readLocked(runner: JobRunner, lock: DirectoryLock): Promise<ReadDirectory> {
    const found = await this.#recover(runner, lock);
    if (holdsStore(found.state, found.state.verdict)) return found;
    const { directory, options, environment } = this.#parts;
    // There is nothing, or only a first log that was prepared and never written.
    if (!options.createIfMissing) throw noStoreError(directory.realPath);
    const storeId = environment.randomBytes(STORE_ID_BYTES);
    await createStore(directory, directory.realPath, storeId, lock);
    const { state, moved, losses } = await this.#recover(runner, lock);
    return {
      state,
      moved: [...found.moved, ...moved],
      losses: [...found.losses, ...losses],
    };
  }

  /** Reads again for a follower, up to what is settled: it never shows what may be taken back. */
  async readAgain(signal: AbortSignal): Promise<RecoveredState> {
    const { directory, threads } = this.#parts;
    const runner = await threads.makeForRecovery();
    const progress = new ProgressMeter(undefined);
    const own = { warm: 'before-open' as const, signal, progress };
    try {
      const makeContext = (): RecoveryContext => ({ ...this.#context(runner), ...own });
      return await recoverSettled(makeContext, settledLogs(directory));
    } finally {
      await runner.close();
    }
  }

  async #recover(runner: JobRunner, lock: DirectoryLock): Promise<ReadDirectory> {
    const context = this.#context(runner);
    try {
      return { state: await recover(context), moved: [], losses: [] };
    } catch (error) {
      const isSalvage = this.#parts.options.recovery === 'salvage';
      if (!isSalvage || !(error instanceof CorruptionError)) throw error;
      const { recovered: state, moved, losses } = await recoverBySalvage(context, lock);
      return { state, moved, losses };
    }
  }

  #context(runner: JobRunner): RecoveryContext {
    const { directory: fs, environment, options } = this.#parts;
    const signal = options.signal ?? new AbortController().signal;
    const progress = new ProgressMeter(options.onProgress);
    const { pause } = environment;
    const { warm } = options;
    return { fs, directory: fs.realPath, runner, signal, progress, pause, warm };
  }
}
