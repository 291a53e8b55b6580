import type { StoreError } from '../../base/errors.ts';
import type { Flow } from '../../base/flow.ts';
import { WorkSlices, type Pacing } from '../../base/work-slices.ts';
import { batchTableBytes } from '../../format/group-rows.ts';
import { writeBatchTable, type Group } from '../../log/group-encoder.ts';
import type { Table } from '../../table/table.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { CommitStats } from '../observe/commit-stats.ts';
import type { ArrivedGroup, CommitGate } from './commit-gate.ts';
import { publishExpanded } from './expand-batch.ts';

export interface PublisherParts {
  readonly table: Table;
  readonly stats: CommitStats;
  /** How the work on a large group is divided. Undefined for inline commits. */
  readonly pacing: Pacing;
  readonly gate: Pick<CommitGate, 'shown'> | undefined;
}

/**
 * Puts the rows of one group into the table. They are copied and hidden, then indexed while the
 * group is being written, then shown or taken back.
 */
export class Publisher {
  readonly #parts: PublisherParts;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Copies the rows of the batches. Returns the group to write. */
  begin(batches: readonly QueuedBatch[]): Group {
    const { table } = this.#parts;
    const rowsBytes = batches.reduce((sum, batch) => sum + batch.lengthBytes, 0);
    const region = table.reserve(rowsBytes + batchTableBytes(batches.length));
    const recordCount = copyRows(region.bytes, batches, rowsBytes);
    table.beginPublish(region, rowsBytes);
    return { decoded: region.bytes, batchCount: batches.length, recordCount };
  }

  /** As `begin`, for a group from a shared log. */
  beginArrived({ decoded, batchCount, recordCount, stored }: ArrivedGroup): Group {
    const { table } = this.#parts;
    const region = table.reserve(decoded.length);
    region.bytes.set(decoded);
    table.beginPublish(region, decoded.length - batchTableBytes(batchCount));
    return { decoded: region.bytes, batchCount, recordCount, stored };
  }

  /**
   * As `begin`, for a group that deletes intervals: the table gets deletes of single keys. Returns
   * the error if it has no room for them.
   */
  beginExpanded({ decoded }: Group): Flow<StoreError | undefined> {
    return publishExpanded(this.#parts.table, decoded, this.#parts.pacing);
  }

  /** Runs while the group is being written: the event loop has nothing else to do for it. */
  *index(): Flow<void> {
    yield* indexGroup(this.#parts.table, this.#parts.pacing);
  }

  /** Shows the rows of a group that has been written. */
  show({ batchCount, recordCount }: Group): void {
    const { table, stats, gate } = this.#parts;
    table.endPublish();
    stats.committed(batchCount, recordCount);
    gate?.shown();
  }

  /** Removes the rows of a group that could not be written. */
  *takeBack(): Flow<void> {
    const { table, pacing } = this.#parts;
    const slices = new WorkSlices(pacing);
    while (!table.stepAbandon()) yield* slices.rest();
  }
}

/** Indexes the rows of the group that is being published, hidden from readers. */
export function* indexGroup(table: Table, pacing: Pacing): Flow<void> {
  const slices = new WorkSlices(pacing);
  while (!table.stepPublish()) yield* slices.rest();
}

/** Copies the rows, then the table of the batches' sizes. Returns the number of records. */
function copyRows(target: Uint8Array, batches: readonly QueuedBatch[], rowsBytes: number): number {
  let offset = 0;
  const counts: number[] = [];
  for (const { packed } of batches) {
    packed!.copyTo(target, offset);
    offset += packed!.lengthBytes;
    counts.push(packed!.recordCount);
  }
  writeBatchTable(target, rowsBytes, counts);
  return counts.reduce((sum, count) => sum + count, 0);
}
