import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import { StorePoisonedError } from '../../base/errors.ts';
import { snapshotName, temporarySnapshotName } from '../../format/file-name.ts';
import type { Directory } from '../../fs/directory.ts';
import type { MergeJob, MergeResult } from '../../jobs/merge.ts';
import type { Table } from '../../table/table.ts';
import type { RetainedLogs } from '../changes/retained-logs.ts';
import type { CommitGate } from '../commit/commit-gate.ts';
import type { Fence } from '../commit/fence.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';

/** The snapshot on disk that the next merge starts from. */
export interface CurrentSnapshot {
  readonly path: string;
  readonly number: number;
  readonly format: 'lodestore' | 'ancestor';
  readonly fileBytes: number;
}

export type Merged = Extract<MergeResult, { kind: 'merged' }>;

export interface SnapshotKeeperParts {
  readonly directory: Directory;
  readonly fence: Fence;
  readonly table: Table;
  readonly logs: LogKeeper;
  readonly retained: RetainedLogs;
  readonly gate: Pick<CommitGate, 'beforeRemoval'> | undefined;
}

/** The store's snapshot, and its replacement by that of a merge: steps 3 and 4 of a merge. */
export class SnapshotKeeper {
  readonly #parts: SnapshotKeeperParts;
  #current: CurrentSnapshot | undefined;

  constructor(parts: SnapshotKeeperParts, recovered: CurrentSnapshot | undefined) {
    this.#parts = parts;
    this.#current = recovered;
  }

  /** The newest snapshot. The logs hold everything newer. */
  get current(): CurrentSnapshot | undefined {
    return this.#current;
  }

  get fileBytes(): number {
    return this.#current?.fileBytes ?? 0;
  }

  get directoryPath(): string {
    return this.#parts.directory.realPath;
  }

  /** Where a merge writes snapshot `number`. No other owner of the directory uses this name. */
  temporaryPath(number: number): string {
    const { nonce } = this.#parts.fence.lock.owner;
    return join(this.directoryPath, temporarySnapshotName(number, nonce));
  }

  /**
   * Renames the new snapshot, makes the name durable, and drops the updates that it has from the
   * table. Returns the replaced snapshot.
   */
  async install(job: MergeJob, { written }: Merged): Promise<CurrentSnapshot | undefined> {
    const { directory, fence, table, gate } = this.#parts;
    const path = join(this.directoryPath, snapshotName(job.number));
    await gate?.beforeRemoval(job.last.lastSequence);
    await fence.requireHeld();
    try {
      await directory.rename(job.temporaryPath, path);
      await directory.syncDirectory(this.directoryPath);
    } catch (error) {
      const what = `renaming the new snapshot to ${path} failed; the state of the directory is unknown`;
      throw this.#poison(what, path, error);
    }
    const replaced = this.#current;
    const { fileBytes } = written;
    this.#current = { path, number: job.number, format: 'lodestore', fileBytes };
    try {
      table.dropFrozen(written.totals.contentHash);
    } catch (bug) {
      const what = `the table could not drop what ${path} has; the state in memory is unknown`;
      throw this.#poison(what, path, bug);
    }
    return replaced;
  }

  /** Removes the logs that the current snapshot has, and the snapshot that it replaced. */
  async removeMerged(replaced: CurrentSnapshot | undefined): Promise<void> {
    const { directory, fence, logs, retained } = this.#parts;
    assert(this.#current !== undefined, 'a merge has installed a snapshot');
    const { path, number } = this.#current;
    const obsolete = retained.retire(logs.forgetUpTo(number));
    if (replaced !== undefined) obsolete.push(replaced.path);
    for (const name of obsolete) {
      assert(name !== path, 'a merge never removes a name that it has just produced');
      await fence.requireHeld();
      // A file that cannot be removed now is a leftover, and the next open removes it.
      await directory.unlink(name).catch(() => undefined);
    }
  }

  #poison(message: string, path: string, cause: unknown): StorePoisonedError {
    return this.#parts.fence.health.broken(new StorePoisonedError(message, { cause, path }));
  }
}
