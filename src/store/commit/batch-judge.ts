import type { StoreError } from '../../base/errors.ts';
import type { Flow } from '../../base/flow.ts';
import type { Pacing } from '../../base/work-slices.ts';
import type { Table } from '../../table/table.ts';
import type { BatchQueue, QueuedBatch } from '../batch/batch-queue.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { CommitGate } from './commit-gate.ts';
import { ConditionJudge } from './condition-judge.ts';

export interface BatchJudgeParts {
  readonly queue: BatchQueue;
  readonly space: SpaceKeeper;
  readonly table: Table;
  readonly pacing: Pacing;
  readonly gate: Pick<CommitGate, 'refusal'> | undefined;
}

/**
 * Decides which batches of a group are written (step 2 of a group). Call it while no group is in
 * flight: the table then has all earlier batches.
 */
export class BatchJudge {
  readonly #parts: BatchJudgeParts;

  constructor(parts: BatchJudgeParts) {
    this.#parts = parts;
  }

  /** Why the whole group is refused, or undefined. */
  refusal(batches: readonly QueuedBatch[]): StoreError | undefined {
    return this.#parts.gate?.refusal(batches);
  }

  /** Whether space or conditions must be judged. A cheap check, which is made first. */
  get isNeeded(): boolean {
    const { queue, space } = this.#parts;
    return queue.conditionalBatches > 0 || space.isLimited;
  }

  /** Sets `refusal` of each batch that is left out of the group. */
  *judge(batches: readonly QueuedBatch[]): Flow<void> {
    const { table, queue, space, pacing } = this.#parts;
    if (space.isLimited) yield* space.judge(batches);
    if (queue.conditionalBatches > 0) yield* new ConditionJudge(table, pacing).judge(batches);
  }
}
