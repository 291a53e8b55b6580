import { requireKnownFields, type FieldsOf } from '../base/fields.ts';
import type { KeyPrefix } from '../table/layer/key-prefix.ts';
import { checkRange } from '../table/layer/key-range.ts';
import type { Records } from '../table/view.ts';
import { Slices, type SliceHooks } from './slices.ts';

/** A range of keys. Contradictory bounds match nothing. */
export interface CountOptions {
  readonly gte?: bigint | number | undefined;
  readonly gt?: bigint | number | undefined;
  readonly lte?: bigint | number | undefined;
  readonly lt?: bigint | number | undefined;
  /** Ends the count with an AbortedError. */
  readonly signal?: AbortSignal | undefined;
}

const COUNT_FIELDS: FieldsOf<CountOptions> = {
  gte: true,
  gt: true,
  lte: true,
  lt: true,
  signal: true,
};

/** Counts the current records of a range, in slices. Throws like `MetadataStore.count`. */
export async function countRecords(
  records: Records,
  options: CountOptions,
  keys: KeyPrefix,
  hooks: Omit<SliceHooks, 'signal'>,
): Promise<number> {
  requireKnownFields(options, COUNT_FIELDS, 'options');
  const { signal, ...bounds } = options;
  const range = checkRange(bounds, keys);
  const slices = new Slices('counting records', { ...hooks, signal });
  const view = records.view();
  if (range.lowest <= keys.first && range.highest >= keys.last && keys.bits === 0) {
    return records.size;
  }
  while (view.sortStep()) if (slices.isOver) await slices.next();
  const walk = view.walk(range, keys);
  let count = 0;
  for (;;) {
    const passed = walk.pass();
    if (passed < 0) return count;
    count += passed;
    if (slices.isOver) await slices.next();
  }
}
