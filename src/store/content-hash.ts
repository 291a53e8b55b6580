import { requireKnownFields, type FieldsOf } from '../base/fields.ts';
import { withJsonForm } from '../base/json-form.ts';
import { ContentSum, contentHashText } from '../format/content-sum.ts';
import type { KeyPrefix } from '../table/layer/key-prefix.ts';
import { checkRange } from '../table/layer/key-range.ts';
import type { Records } from '../table/view.ts';
import { Slices, type SliceHooks } from './slices.ts';

export interface ContentHashOptions {
  /** Aborts the computation. */
  readonly signal?: AbortSignal | undefined;
}

const CONTENT_HASH_FIELDS: FieldsOf<ContentHashOptions> = { signal: true };

/** @throws TypeError that names the option */
export function checkContentHashOptions(options: ContentHashOptions): void {
  requireKnownFields(options, CONTENT_HASH_FIELDS, 'options');
}

/** A hash of the records of a store. Two stores with the same records have the same hash. */
export interface ContentHash {
  /**
   * 32 hexadecimal digits; all 0 for an empty store. Not cryptographic: it can be forged by
   * choosing records.
   */
  readonly hash: string;
  /** Number of records. */
  readonly records: number;
  /** Sequence number of the last batch in it. */
  readonly lastSequence: bigint;
}

const WHAT = 'computing the content hash';
/** Records hashed between two reads of the clock, for short data. */
const STEP_RECORDS = 64;

/**
 * Computes the content hash of the currently visible records, in slices. `lastSequence`: that of
 * the last visible batch.
 */
export async function computeContentHash(
  records: Records,
  lastSequence: bigint,
  hooks: SliceHooks,
): Promise<ContentHash> {
  const slices = new Slices(WHAT, hooks);
  const count = records.countContent();
  while (count.step()) if (slices.isOver) await slices.next();
  records.keepContent(count);
  const hash = contentHashText(count.value);
  return withJsonForm({ hash, records: count.recordCount, lastSequence });
}

/** Computes the content hash of the records of `keys`, with their full keys. Reads all of them. */
export async function contentHashOf(
  records: Records,
  lastSequence: bigint,
  keys: KeyPrefix,
  options: ContentHashOptions,
  hooks: Omit<SliceHooks, 'signal'>,
): Promise<ContentHash> {
  checkContentHashOptions(options);
  const slices = new Slices(WHAT, { ...hooks, signal: options.signal });
  const view = records.view();
  while (view.sortStep()) if (slices.isOver) await slices.next();
  const walk = view.walk(checkRange({}, keys), keys);
  const sum = new ContentSum();
  let count = 0;
  for (let step = walk.stepSome(); step !== 'end'; step = walk.stepSome()) {
    if (step === 'record') {
      walk.addTo(sum);
      if (++count % STEP_RECORDS !== 0) continue;
    }
    if (slices.isOver) await slices.next();
  }
  return withJsonForm({ hash: contentHashText(sum.value), records: count, lastSequence });
}
