import { equalBytes, viewOf } from '../../base/bytes.ts';
import { ConditionFailedError } from '../../base/errors.ts';
import type { Flow } from '../../base/flow.ts';
import { CHECKED_ROWS, WorkSlices, type Pacing } from '../../base/work-slices.ts';
import { joinedHalves, joinU64, u64Halves } from '../../base/u64.ts';
import { Delta } from '../../table/delta/delta.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import { UNKNOWN_KEY } from '../../table/layer/update-layer.ts';
import type { Table } from '../../table/table.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { Demand } from '../batch/condition.ts';
import type { LentConditions } from '../batch/condition-list.ts';

const NONE_PRESENT = { isPresent: (): boolean => false };

/**
 * Judges the batches of one group in order: each against the table and the earlier batches of the
 * group that apply. Exact only between two groups, while nothing else changes the table.
 */
export class ConditionJudge {
  readonly #table: Table;
  readonly #slices: WorkSlices;
  /**
   * Rows of the earlier batches that apply. They will be on top of the table when the group is
   * durable.
   */
  #earlier: Delta | undefined;
  #untilCheck = CHECKED_ROWS;

  constructor(table: Table, pacing: Pacing) {
    this.#table = table;
    this.#slices = new WorkSlices(pacing);
  }

  /**
   * Sets `refusal` of each batch with a condition that does not hold. Batches with a refusal are
   * left out.
   */
  *judge(group: readonly QueuedBatch[]): Flow<void> {
    const batches = group.filter((batch) => batch.refusal === undefined);
    const last = batches.findLastIndex(({ packed }) => packed?.conditions !== undefined);
    for (let at = 0; at <= last; at++) {
      const batch = batches[at]!;
      const { rows, conditions } = batch.packed!;
      if (conditions !== undefined) batch.refusal = yield* this.#firstFailure(rows, conditions);
      // No later batch has conditions, so the last one need not be applied.
      if (batch.refusal === undefined && at < last) yield* this.#apply(rows);
    }
  }

  *#firstFailure(
    rows: Uint8Array,
    conditions: LentConditions,
  ): Flow<ConditionFailedError | undefined> {
    const view = viewOf(rows);
    for (let at = 0; at < conditions.count; at++) {
      const rowOffset = conditions.rowOffsetAt(at);
      const low = view.getUint32(rowOffset + KEY_LOW, true);
      const high = view.getUint32(rowOffset + KEY_HIGH, true);
      const demand = conditions.demandAt(at);
      const found = this.#valueOf(low, high);
      if (!this.#holds(demand, low, high, found)) {
        return new ConditionFailedError({
          index: conditions.indexAt(at),
          key: joinU64(low, high),
          condition: demand.kind,
          allowed: demand.kind === 'ifValue' ? demand.allowed : [],
          found: found === 0n ? undefined : found,
        });
      }
      if (--this.#untilCheck === 0) yield* this.#check();
    }
    return undefined;
  }

  /** The value of a key, given in halves, before the batch. 0 if there is no record. */
  #valueOf(low: number, high: number): bigint {
    const isSettled = this.#earlier?.readValue(low, high, u64Halves, 0) === true;
    if (!isSettled) this.#table.readValue(low, high, u64Halves, 0);
    return joinedHalves();
  }

  #holds(demand: Demand, low: number, high: number, found: bigint): boolean {
    switch (demand.kind) {
      case 'ifAbsent':
        return found === 0n;
      case 'ifValue':
        return demand.allowed.includes(found);
      case 'ifNewer':
        return found < demand.value;
      case 'ifData':
        return this.#hasData(low, high, demand.data);
    }
  }

  #hasData(low: number, high: number, expected: Uint8Array): boolean {
    const found = new Uint8Array(expected.length);
    let lengthBytes = this.#earlier?.readData(low, high, found, 0) ?? UNKNOWN_KEY;
    if (lengthBytes === UNKNOWN_KEY) lengthBytes = this.#table.readData(low, high, found, 0);
    return lengthBytes === expected.length && equalBytes(found, expected);
  }

  *#apply(rows: Uint8Array): Flow<void> {
    if (rows.length === 0) return;
    this.#earlier ??= new Delta();
    const region = this.#earlier.reserve(rows.length);
    region.bytes.set(rows);
    this.#earlier.beginPublish(region, rows.length);
    while (!this.#earlier.stepPublish(CHECKED_ROWS, NONE_PRESENT)) yield* this.#check();
    this.#earlier.finishPublish();
  }

  *#check(): Flow<void> {
    this.#untilCheck = CHECKED_ROWS;
    yield* this.#slices.rest();
  }
}
