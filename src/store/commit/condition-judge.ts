import { viewOf } from '../../base/bytes.ts';
import { ConditionFailedError } from '../../base/errors.ts';
import { joinU64 } from '../../base/u64.ts';
import { Delta } from '../../table/delta/delta.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import type { Table } from '../../table/table.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { LentConditions } from '../batch/condition-list.ts';

/** Conditions looked at, and rows indexed, before the event loop is looked after again: about half a millisecond. */
const SLICE = 1_024;
const NOBODY_ASKS = { isPresent: (): boolean => false };

/**
 * Judges the batches of one group in their order: each against the table and those before it that apply.
 * Exact only between two groups, while nothing else changes the table.
 */
export class ConditionJudge {
  readonly #table: Table;
  readonly #pause: () => Promise<void>;
  /** Rows of the batches so far that apply: what the table will hold on top when the group is durable. */
  #earlier: Delta | undefined;
  #untilPause = SLICE;

  constructor(table: Table, pause: () => Promise<void>) {
    this.#table = table;
    this.#pause = pause;
  }

  /** Sets `refusal` of each batch of which a condition does not hold. Batches with a refusal are left out. */
  async judge(group: readonly QueuedBatch[]): Promise<void> {
    const batches = group.filter((batch) => batch.refusal === undefined);
    const last = batches.findLastIndex(({ packed }) => packed?.conditions !== undefined);
    for (let at = 0; at <= last; at++) {
      const batch = batches[at]!;
      const { rows, conditions } = batch.packed!;
      if (conditions !== undefined) batch.refusal = await this.#firstFailure(rows, conditions);
      // Nobody asks what the last one changes.
      if (batch.refusal === undefined && at < last) await this.#apply(rows);
    }
  }

  async #firstFailure(
    rows: Uint8Array,
    conditions: LentConditions,
  ): Promise<ConditionFailedError | undefined> {
    const view = viewOf(rows);
    for (let at = 0; at < conditions.count; at++) {
      const rowOffset = conditions.rowOffsetAt(at);
      const low = view.getUint32(rowOffset + KEY_LOW, true);
      const high = view.getUint32(rowOffset + KEY_HIGH, true);
      const expected = conditions.expectedAt(at);
      const found = this.#earlier?.valueOfKey(low, high) ?? this.#table.valueOfKey(low, high);
      if (found !== expected) {
        return new ConditionFailedError({
          index: conditions.indexAt(at),
          key: joinU64(low, high),
          expected: expected === 0n ? undefined : expected,
          found: found === 0n ? undefined : found,
        });
      }
      if (--this.#untilPause === 0) await this.#rest();
    }
    return undefined;
  }

  async #apply(rows: Uint8Array): Promise<void> {
    if (rows.length === 0) return;
    this.#earlier ??= new Delta();
    const region = this.#earlier.reserve(rows.length);
    region.bytes.set(rows);
    this.#earlier.beginPublish(region, rows.length);
    while (!this.#earlier.stepPublish(SLICE, NOBODY_ASKS)) await this.#rest();
    this.#earlier.finishPublish();
  }

  async #rest(): Promise<void> {
    this.#untilPause = SLICE;
    await this.#pause();
  }
}
