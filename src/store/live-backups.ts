import { onAbort } from '../base/abort.ts';
import { CorruptionError, StoreClosedError } from '../base/errors.ts';
import type { Directory } from '../fs/directory.ts';
import type { JobRunner } from '../threads/job-runner.ts';
import { finishCount } from './backup/backup-check.ts';
import { closeSource } from './backup/backup-source.ts';
import {
  checkBackup,
  IN_STORE,
  requireOutside,
  writeBackup,
  type BackupOptions,
  type BackupReport,
} from './backup/backup.ts';
import { copyError } from './backup/copy-error.ts';
import type { FilesWatch } from './commit/files-watch.ts';
import type { Health } from './commit/health.ts';
import type { MergeScheduler } from './merge/merge-scheduler.ts';
import type { StateCapture } from './state-capture.ts';

export interface LiveBackupsParts {
  readonly directory: Directory;
  readonly capture: StateCapture;
  readonly check: {
    readonly makeRunner: (directory: Directory) => JobRunner;
    readonly pause: () => Promise<void>;
  };
  readonly merges: MergeScheduler;
  readonly health: Health;
  readonly watch: FilesWatch;
}

/** The running backups of an open store. */
export class LiveBackups {
  readonly #parts: LiveBackupsParts;
  readonly #closing: AbortController = new AbortController();
  readonly #running: Set<Promise<unknown>> = new Set();

  constructor(parts: LiveBackupsParts) {
    this.#parts = parts;
  }

  /**
   * Writes everything that is durable at the end of a group to `target`. See
   * `MetadataStore.backup`.
   */
  async run(target: string | URL, options: BackupOptions): Promise<BackupReport> {
    const absolute = checkBackup(target, options);
    const abort = new AbortController();
    const user = options.signal;
    const giveUp = (): void => abort.abort(user?.reason);
    const close = (): void =>
      abort.abort(new StoreClosedError('the store was closed during the backup'));
    const stopListening = [onAbort(this.#closing.signal, close)];
    if (user !== undefined) stopListening.push(onAbort(user, giveUp));
    if (user?.aborted === true) giveUp();
    const running = this.#write(absolute, { ...options, signal: abort.signal });
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      throw copyError(error, `the backup to ${absolute}`, absolute, abort.signal);
    } finally {
      this.#running.delete(running);
      for (const stop of stopListening) stop();
    }
  }

  /** Aborts the running backups. Resolves when they have cleaned up. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#running);
  }

  async #write(target: string, options: BackupOptions): Promise<BackupReport> {
    options.signal?.throwIfAborted();
    const { directory, capture, check, health, watch } = this.#parts;
    await requireOutside(directory, directory.realPath, target, IN_STORE);
    await watch.look();
    if (health.isPoisoned) throw health.poisonedWrite('not-applied');
    const { source, count } = await capture.capture();
    const records = count.recordCount;
    try {
      const expected = async (): Promise<{ records: number; contentHash: string }> => {
        const contentHash = await finishCount(count, {
          pause: check.pause,
          signal: options.signal,
        });
        return { records, contentHash };
      };
      const knownDamage = (): CorruptionError | undefined => this.#knownDamage();
      const context = { fs: directory, check, expected, records, knownDamage };
      return await writeBackup(context, source, target, options);
    } finally {
      await closeSource(source);
    }
  }

  /** Damage that has stopped merging: the files on disk then hold less than memory. */
  #knownDamage(): CorruptionError | undefined {
    const { state, lastError } = this.#parts.merges.stats;
    return state === 'stopped' && lastError instanceof CorruptionError ? lastError : undefined;
  }
}
