import { allocateColumns, type ColumnViews } from '../../format/columns-builder.ts';
import type { Columns } from '../../format/columns.ts';

/**
 * Copies the records [from, to) of `columns`, at least one. `firstKey` and `lastKey` are those of
 * the copy.
 */
export function sliceColumns(
  columns: Columns,
  from: number,
  to: number,
  firstKey: bigint,
  lastKey: bigint,
): Columns {
  const isEven = columns.dataEnd === null;
  const dataFrom = isEven ? from * columns.dataLength : dataStart(columns.dataEnd, from);
  const dataTo = isEven ? to * columns.dataLength : dataStart(columns.dataEnd, to);
  const views = allocateColumns(to - from, dataTo - dataFrom, {
    keys: columns.keyHigh !== null,
    values: columns.valueHigh !== null,
    lengths: !isEven,
  });
  views.keyLow.set(columns.keyLow.subarray(from, to));
  views.keyHigh?.set(columns.keyHigh!.subarray(from, to));
  subtractFirst(views);
  views.valueLow.set(columns.valueLow.subarray(from, to));
  views.valueHigh?.set(columns.valueHigh!.subarray(from, to));
  views.dataEnd?.set(columns.dataEnd!.subarray(from, to).map((end) => end - dataFrom));
  views.data.set(columns.data.subarray(dataFrom, dataTo));
  return { ...columns, ...views, recordCount: to - from, firstKey, lastKey };
}

function dataStart(dataEnd: Uint32Array, index: number): number {
  return index === 0 ? 0 : dataEnd[index - 1]!;
}

function subtractFirst({ keyLow, keyHigh }: ColumnViews): void {
  const firstLow = keyLow[0]!;
  const firstHigh = keyHigh === null ? 0 : keyHigh[0]!;
  for (let i = 0; i < keyLow.length; i++) {
    const difference = keyLow[i]! - firstLow;
    keyLow[i] = difference;
    if (keyHigh !== null) keyHigh[i] = keyHigh[i]! - firstHigh - (difference < 0 ? 1 : 0);
  }
}
