import { viewOf } from '../base/bytes.ts';
import { splitU64, u64Halves } from '../base/u64.ts';
import type { Columns } from './columns.ts';
import { ContentSum } from './content-sum.ts';

/** The content hash of the records in `columns`. None of them may be a delete. */
export function sumOfColumns(columns: Columns): ContentSum {
  const { recordCount, keyLow, keyHigh, valueLow, valueHigh, dataEnd, dataLength } = columns;
  splitU64(columns.firstKey, 'firstKey');
  const [firstLow, firstHigh] = [u64Halves[0]!, u64Halves[1]!];
  splitU64(columns.valueBase, 'valueBase');
  const [baseLow, baseHigh] = [u64Halves[0]!, u64Halves[1]!];
  const data = viewOf(columns.data);
  const sum = new ContentSum();
  let from = 0;
  for (let i = 0; i < recordCount; i++) {
    const key = firstLow + keyLow[i]!;
    const value = baseLow + valueLow[i]!;
    const to = dataEnd === null ? from + dataLength : dataEnd[i]!;
    // Passed as int32: larger numbers would be heap numbers.
    sum.countRecord(
      1,
      key | 0,
      (firstHigh + (keyHigh === null ? 0 : keyHigh[i]!) + (key > 0xffff_ffff ? 1 : 0)) | 0,
      value | 0,
      (baseHigh + (valueHigh === null ? 0 : valueHigh[i]!) + (value > 0xffff_ffff ? 1 : 0)) | 0,
      data,
      from,
      to,
    );
    from = to;
  }
  return sum;
}
