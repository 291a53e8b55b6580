import { join } from 'node:path';
import { onAbort } from '../base/abort.ts';
import { assert } from '../base/assert.ts';
import { CorruptionError, FilesLostError, missingPath, StoreClosedError } from '../base/errors.ts';
import type { Directory } from '../fs/directory.ts';
import type { ContentCount } from '../table/scan/content-count.ts';
import type { Table } from '../table/table.ts';
import type { JobRunner } from '../threads/job-runner.ts';
import { finishCount } from './backup/backup-check.ts';
import {
  closeSource,
  openSource,
  stateFiles,
  type BackupSource,
  type State,
} from './backup/backup-source.ts';
import {
  checkBackup,
  IN_STORE,
  requireOutside,
  writeBackup,
  type BackupOptions,
  type BackupReport,
} from './backup/backup.ts';
import type { Committer } from './commit/committer.ts';
import { copyError } from './backup/copy-error.ts';
import type { FilesWatch } from './commit/files-watch.ts';
import type { Health } from './commit/health.ts';
import type { LogKeeper } from './commit/log-keeper.ts';
import type { MergeScheduler } from './merge/merge-scheduler.ts';

export interface LiveBackupsParts {
  readonly fs: Directory;
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly table: Table;
  readonly logs: LogKeeper;
  readonly committer: Committer;
  readonly merges: MergeScheduler;
  readonly health: Health;
  readonly makeRunner: (directory: Directory) => JobRunner;
  readonly pause: () => Promise<void>;
  readonly watch: FilesWatch;
}

/**
 * Each retry requires that a merge ended between a group boundary and the opening of a few files.
 */
const MAX_ATTEMPTS = 10;

interface Moment {
  readonly source: BackupSource;
  /** The content hash of the records at that time. */
  readonly count: ContentCount;
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
    const { fs, directory, makeRunner, pause, health, watch } = this.#parts;
    await requireOutside(fs, directory, target, IN_STORE);
    await watch.look();
    if (health.isPoisoned) throw health.poisonedWrite('not-applied');
    const { source, count } = await this.#holdStill();
    const records = count.recordCount;
    try {
      const check = { makeRunner, pause };
      const expected = async (): Promise<{ records: number; contentHash: string }> => {
        const contentHash = await finishCount(count, { pause, signal: options.signal });
        return { records, contentHash };
      };
      const knownDamage = (): CorruptionError | undefined => this.#knownDamage();
      const context = { fs, check, expected, records, knownDamage };
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

  /** Captures files, records and sequence number between two groups. */
  async #holdStill(): Promise<Moment> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#tryToHoldStill();
      } catch (error) {
        const path = missingPath(error);
        if (path !== undefined) this.#requireReplaced(path, error);
        if (path === undefined || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** Throws unless the file was removed by a merge that has replaced it. */
  #requireReplaced(path: string, cause: unknown): void {
    const { directory, merges, logs, health } = this.#parts;
    const needed = stateFiles(merges.snapshot, logs.closedLogs);
    if (!needed.some(({ name }) => join(directory, name) === path)) return;
    throw health.broken(FilesLostError.of(path, cause));
  }

  async #tryToHoldStill(): Promise<Moment> {
    const { fs, directory, storeId, table, logs, committer, merges } = this.#parts;
    let moment: Promise<Moment> | undefined;
    // Called between two groups: the closed logs then hold exactly the visible batches.
    await committer.rotate(() => {
      const { lastSequence } = logs.lastClosed;
      const files = stateFiles(merges.snapshot, logs.closedLogs);
      const state: State = { storeId, lastSequence, files };
      const count = table.countContent();
      moment = openSource(fs, directory, state).then((source) => ({ source, count }));
      // Awaited below, possibly after it has rejected.
      moment.catch(() => undefined);
    });
    assert(moment !== undefined, 'a rotation passes its boundary before it resolves');
    return moment;
  }
}
