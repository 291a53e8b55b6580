import type { KeyPrefix } from '../table/layer/key-prefix.ts';
import { checkBounds, type BoundOptions } from '../table/layer/key-range.ts';
import type { Records } from '../table/view.ts';

/** Describes `for await` in errors. */
export const ITERATING = 'reading records';

/** The lowest or the highest key of a range, without the prefix of `keys`. */
export function endKey(
  records: Records,
  options: BoundOptions | undefined,
  keys: KeyPrefix,
  end: 'first' | 'last',
): bigint | undefined {
  const { lowest, highest } = checkBounds(options, keys);
  const walk = records.view().walk({ lowest, highest, reverse: end === 'last', limit: 1 }, keys);
  return walk.step() ? walk.key() : undefined;
}
