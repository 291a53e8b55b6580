import type { ContentSum } from '../../format/content-sum.ts';
import { DATA, DATA_LENGTH, KEY_HIGH, KEY_LOW, VALUE_HIGH, VALUE_LOW } from '../../format/row.ts';

/** Adds the record in the row at `offset`, which must not be a delete. */
export function addRow(sum: ContentSum, view: DataView, offset: number): void {
  const from = offset + DATA;
  sum.addRecord(
    view.getInt32(offset + KEY_LOW, true),
    view.getInt32(offset + KEY_HIGH, true),
    view.getInt32(offset + VALUE_LOW, true),
    view.getInt32(offset + VALUE_HIGH, true),
    view,
    from,
    from + view.getUint32(offset + DATA_LENGTH, true),
  );
}

/** Subtracts the record in the row at `offset`, which must not be a delete. */
export function subtractRow(sum: ContentSum, view: DataView, offset: number): void {
  const from = offset + DATA;
  sum.subtractRecord(
    view.getInt32(offset + KEY_LOW, true),
    view.getInt32(offset + KEY_HIGH, true),
    view.getInt32(offset + VALUE_LOW, true),
    view.getInt32(offset + VALUE_HIGH, true),
    view,
    from,
    from + view.getUint32(offset + DATA_LENGTH, true),
  );
}
