import type { ContentSum, Sign } from '../../format/content-sum.ts';
import { DATA, DATA_LENGTH, KEY_HIGH, KEY_LOW, VALUE_HIGH, VALUE_LOW } from '../../format/row.ts';

/** Adds or subtracts the record in the row at `offset`, which must not be a delete. */
export function countRow(sum: ContentSum, sign: Sign, view: DataView, offset: number): void {
  const from = offset + DATA;
  sum.countRecord(
    sign,
    view.getInt32(offset + KEY_LOW, true),
    view.getInt32(offset + KEY_HIGH, true),
    view.getInt32(offset + VALUE_LOW, true),
    view.getInt32(offset + VALUE_HIGH, true),
    view,
    from,
    from + view.getUint32(offset + DATA_LENGTH, true),
  );
}
