import { joinU64 } from '../../base/u64.ts';
import type { Columns } from '../../format/columns.ts';
import { RunCursor } from '../../runs/run-cursor.ts';

export type TextFormat = 'jsonl' | 'csv';

/** The encoding of data, which also determines the field name. */
export type DataEncoding = 'base64' | 'hex';

export const DATA_FIELDS: Readonly<Record<DataEncoding, string>> = {
  base64: 'data',
  hex: 'dataHex',
};

/** The header line. Empty if the format has none. */
export function headLine(format: TextFormat, encoding: DataEncoding): string {
  return format === 'csv' ? `key,value,${DATA_FIELDS[encoding]}\n` : '';
}

/**
 * Formats the records of one chunk, one per line. u64 are decimal digits, in JSON as strings,
 * because JSON numbers would be rounded.
 */
export function recordLines(columns: Columns, format: TextFormat, encoding: DataEncoding): string {
  const cursor = new RunCursor([columns]);
  const field = DATA_FIELDS[encoding];
  let text = '';
  for (; !cursor.done; cursor.next()) {
    const key = joinU64(cursor.keyLow, cursor.keyHigh);
    const value = joinU64(cursor.valueLow, cursor.valueHigh);
    const data = dataText(cursor, encoding);
    text +=
      format === 'csv'
        ? `${key},${value},${data}\n`
        : `{"key":"${key}","value":"${value}","${field}":"${data}"}\n`;
  }
  return text;
}

function dataText(cursor: RunCursor, encoding: DataEncoding): string {
  const { data, dataFrom, dataLength } = cursor;
  if (dataLength === 0) return '';
  return Buffer.from(data.buffer, data.byteOffset + dataFrom, dataLength).toString(encoding);
}
