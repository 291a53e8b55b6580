import { checkSignal } from '../../base/abort.ts';
import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { CONDITION_FIELDS, conditionOf, type Condition } from './condition.ts';
import type { BatchDurability } from './durability.ts';

export interface InsertOptions {
  /** Aborts the batch while it is queued. A batch that is being written cannot be aborted. */
  readonly signal?: AbortSignal | undefined;
  /** When this batch is acknowledged. Default: the option `durability` of the store. */
  readonly durability?: BatchDurability | undefined;
}

/** The result of a batch. */
export interface Inserted {
  /**
   * Number of the batch in commit order, as in the change feed. An empty batch has the number of
   * the batch before it.
   */
  readonly sequence: bigint;
}

/** A result that `JSON.stringify` takes: the sequence as decimal digits. */
export class CommittedBatch implements Inserted {
  readonly sequence: bigint;

  constructor(sequence: bigint) {
    this.sequence = sequence;
  }

  toJSON(): unknown {
    return { sequence: this.sequence.toString() };
  }
}

const INSERT_FIELDS: FieldsOf<InsertOptions> = { signal: true, durability: true };
const SYNC_INSERT_FIELDS: FieldsOf<Pick<InsertOptions, 'durability'>> = { durability: true };
const SINGLE_FIELDS: FieldsOf<InsertOptions & Condition> = {
  ...INSERT_FIELDS,
  ...CONDITION_FIELDS,
};

/** @throws TypeError that names the option */
export function checkInsertOptions(options: InsertOptions): void {
  requireKnownFields(options, INSERT_FIELDS, 'options');
  checkSignal(options.signal);
}

/**
 * Checks the options of `insertBatchSync`, which has no signal: nobody can abort it while it runs.
 *
 * @throws TypeError that names the option
 */
export function checkSyncInsertOptions(options: Pick<InsertOptions, 'durability'>): void {
  requireKnownFields(options, SYNC_INSERT_FIELDS, 'options');
}

/** Splits the options of a single update into its condition and the options of its batch. */
export function splitInsertOptions(options: InsertOptions & Condition): {
  readonly condition: Condition | undefined;
  readonly rest: InsertOptions;
} {
  requireKnownFields(options, SINGLE_FIELDS, 'options');
  const { signal, durability } = options;
  return { condition: conditionOf(options), rest: { signal, durability } };
}
