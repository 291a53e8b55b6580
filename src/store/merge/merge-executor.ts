import {
  CorruptionError,
  DirectoryLostError,
  FilesLostError,
  missingPath,
} from '../../base/errors.ts';
import type { MergeJob, MergeResult } from '../../jobs/merge.ts';
import type { Table } from '../../table/table.ts';
import type { FilesWatch } from '../commit/files-watch.ts';
import type { Health } from '../commit/health.ts';
import { damageDetail } from '../recovery/load-records.ts';
import { mergeError } from './merge-room.ts';
import type { MergeRunner } from './merge-runner.ts';

export interface MergeExecutorParts {
  /** Closed together with the executor. */
  readonly runner: MergeRunner;
  readonly table: Table;
  readonly health: Health;
  readonly watch: FilesWatch;
}

/** Executes the job of a merge (step 2). Changed chunks go into the table while it runs. */
export class MergeExecutor {
  readonly #parts: MergeExecutorParts;

  constructor(parts: MergeExecutorParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the new snapshot is durable under its temporary name, or was not written for lack
   * of space. Rejects with `CorruptionError` for damage, and with the poisoning error if an input
   * is lost.
   */
  async execute(
    job: MergeJob,
    options: { readonly signal: AbortSignal; readonly onProgress: (bytesRead: number) => void },
  ): Promise<Exclude<MergeResult, { kind: 'corrupt' }>> {
    const { table, runner, health } = this.#parts;
    let result: MergeResult;
    try {
      result = await runner.run(job, {
        ...options,
        onMessage: ({ from, to, columns, isWhole }) =>
          health.guard(() => table.replaceChunks(from, to, columns, isWhole)),
      });
    } catch (error) {
      throw options.signal.aborted ? error : this.#failure(job, error);
    }
    if (health.isPoisoned) throw health.poisonedWrite('not-applied');
    if (result.kind !== 'corrupt') return result;
    const damage = new CorruptionError(damageDetail(this.#parts.watch.directoryPath, result));
    throw await this.#parts.watch.causeOf(damage);
  }

  #failure(job: MergeJob, error: unknown): unknown {
    const { health } = this.#parts;
    if (error instanceof DirectoryLostError) health.poisonWith(error);
    const inputs = [job.snapshot?.path, ...job.logs.map(({ path }) => path)];
    const missing = inputs.find((path) => path !== undefined && path === missingPath(error));
    if (missing !== undefined) return health.broken(FilesLostError.of(missing, error));
    return mergeError(error, `merging into ${job.temporaryPath} failed`, job.temporaryPath);
  }

  async close(): Promise<void> {
    await this.#parts.runner.close();
  }
}
