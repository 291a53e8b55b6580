import { viewOf } from '../base/bytes.ts';
import { ConditionFailedError } from '../base/errors.ts';
import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { joinU64 } from '../base/u64.ts';
import type { QueuedBatch } from './batch-queue.ts';
import type { LentConditions } from './condition-list.ts';
import type { PackedBatch } from './write-batch.ts';

/** Conditions and rows looked at before the event loop is looked after again: under a millisecond. */
const SLICE = 1_024;

/** Says what is in the table: 0 for a key without a record. */
export type ValueOfKey = (key: bigint) => bigint;

/**
 * Judges the batches of one group in their order: each against the table and those before it that apply.
 * Exact only between two groups, while nothing else changes the table. Remembers no more than the keys
 * that conditions ask about.
 */
export class ConditionJudge {
  readonly #pause: () => Promise<void>;
  /** Value of each key asked about, as of the batch that is judged next. */
  readonly #watched: Map<bigint, bigint> = new Map();
  #untilPause = SLICE;

  constructor(pause: () => Promise<void>) {
    this.#pause = pause;
  }

  /** Sets `refusal` of each batch of which a condition does not hold. Batches with a refusal are left out. */
  async judge(group: readonly QueuedBatch[], valueOfKey: ValueOfKey): Promise<void> {
    const batches = group.filter((batch) => batch.refusal === undefined);
    let last = -1;
    for (const [at, { packed }] of batches.entries()) {
      if (packed?.conditions === undefined) continue;
      await this.#watch(packed, packed.conditions, valueOfKey);
      last = at;
    }
    for (let at = 0; at <= last; at++) {
      const batch = batches[at]!;
      const packed = batch.packed!;
      if (packed.conditions !== undefined) {
        batch.refusal = await this.#firstFailure(packed, packed.conditions);
      }
      // Nobody asks what the last one changes.
      if (batch.refusal === undefined && at < last) await this.#apply(packed);
    }
  }

  async #watch(
    { rows }: PackedBatch,
    conditions: LentConditions,
    valueOfKey: ValueOfKey,
  ): Promise<void> {
    const view = viewOf(rows);
    for (let at = 0; at < conditions.count; at++) {
      const key = keyAt(view, conditions.rowOffsetAt(at));
      if (!this.#watched.has(key)) this.#watched.set(key, valueOfKey(key));
      if (--this.#untilPause === 0) await this.#rest();
    }
  }

  async #firstFailure(
    { rows }: PackedBatch,
    conditions: LentConditions,
  ): Promise<ConditionFailedError | undefined> {
    const view = viewOf(rows);
    for (let at = 0; at < conditions.count; at++) {
      const key = keyAt(view, conditions.rowOffsetAt(at));
      const expected = conditions.expectedAt(at);
      const found = this.#watched.get(key)!;
      if (found !== expected) {
        return new ConditionFailedError({
          index: conditions.indexAt(at),
          key,
          expected: expected === 0n ? undefined : expected,
          found: found === 0n ? undefined : found,
        });
      }
      if (--this.#untilPause === 0) await this.#rest();
    }
    return undefined;
  }

  async #apply({ rows }: PackedBatch): Promise<void> {
    const view = viewOf(rows);
    let offset = 0;
    while (offset < rows.length) {
      const key = keyAt(view, offset);
      if (this.#watched.has(key)) this.#watched.set(key, keyAt(view, offset + 8));
      offset += ROW_HEADER_BYTES + view.getUint32(offset + 16, true);
      if (--this.#untilPause === 0) await this.#rest();
    }
  }

  async #rest(): Promise<void> {
    this.#untilPause = SLICE;
    await this.#pause();
  }
}

/** The u64 at `offset`: a row's key, or 8 bytes on its value. */
function keyAt(view: DataView, offset: number): bigint {
  return joinU64(view.getUint32(offset, true), view.getUint32(offset + 4, true));
}
