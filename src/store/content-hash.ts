import { requireKnownFields, type FieldsOf } from '../base/fields.ts';
import { contentHashText } from '../format/content-sum.ts';
import type { Table } from '../table/table.ts';
import { Slices, type SliceHooks } from './slices.ts';

export interface ContentHashOptions {
  /** Stops the computation. */
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

/**
 * Computes the content hash of what is visible now, with `lastSequence` the last batch, in slices.
 */
export async function computeContentHash(
  table: Table,
  lastSequence: bigint,
  hooks: SliceHooks,
): Promise<ContentHash> {
  const slices = new Slices('computing the content hash', hooks);
  const count = table.countContent();
  while (count.step()) if (slices.isOver) await slices.next();
  table.keepContent(count);
  return { hash: contentHashText(count.value), records: count.recordCount, lastSequence };
}
