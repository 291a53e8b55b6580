import type { Columns } from '../format/columns.ts';

/** A copy of the records [from, to) of `columns`; at least one. `firstKey` and `lastKey` are theirs. */
export function sliceColumns(
  columns: Columns,
  from: number,
  to: number,
  firstKey: bigint,
  lastKey: bigint,
): Columns {
  const { keyLow, keyHigh } = subtractFirst(columns, from, to);
  const isEven = columns.dataEnd === null;
  const dataFrom = isEven ? from * columns.dataLength : dataStart(columns.dataEnd, from);
  const dataTo = isEven ? to * columns.dataLength : dataStart(columns.dataEnd, to);
  return {
    ...columns,
    recordCount: to - from,
    firstKey,
    lastKey,
    keyLow,
    keyHigh,
    valueLow: columns.valueLow.slice(from, to),
    valueHigh: columns.valueHigh === null ? null : columns.valueHigh.slice(from, to),
    dataEnd: isEven ? null : columns.dataEnd.slice(from, to).map((end) => end - dataFrom),
    data: columns.data.slice(dataFrom, dataTo),
  };
}

function dataStart(dataEnd: Uint32Array, index: number): number {
  return index === 0 ? 0 : dataEnd[index - 1]!;
}

function subtractFirst(
  columns: Columns,
  from: number,
  to: number,
): { keyLow: Uint32Array; keyHigh: Uint32Array | null } {
  const keyLow = columns.keyLow.slice(from, to);
  const keyHigh = columns.keyHigh === null ? null : columns.keyHigh.slice(from, to);
  const firstLow = keyLow[0]!;
  const firstHigh = keyHigh === null ? 0 : keyHigh[0]!;
  for (let i = 0; i < keyLow.length; i++) {
    const difference = keyLow[i]! - firstLow;
    keyLow[i] = difference;
    if (keyHigh !== null) keyHigh[i] = keyHigh[i]! - firstHigh - (difference < 0 ? 1 : 0);
  }
  return { keyLow, keyHigh };
}
