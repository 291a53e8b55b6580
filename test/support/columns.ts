import { present } from '../../src/base/assert.ts';
import { CHUNK_TARGET_BYTES, CHUNK_TARGET_RECORDS } from '../../src/base/limits.ts';
import { allocateColumns, type SplitColumns } from '../../src/format/columns-builder.ts';
import type { Columns } from '../../src/format/columns.ts';

export interface TestRecord {
  readonly key: bigint;
  readonly value: bigint;
  readonly data: Uint8Array;
}

/** Columns of records with ascending keys, built in the simplest way, with minimal widths. */
export function columnsOf(records: readonly TestRecord[]): Columns {
  const firstKey = present(records[0], 'columns hold a record').key;
  const lastKey = present(records.at(-1), 'columns hold a record').key;
  const values = records.map((record) => record.value);
  const valueBase = values.reduce((least, value) => (value < least ? value : least));
  const lengths = records.map((record) => record.data.length);
  const isEven = lengths.every((length) => length === lengths[0]);
  const keys = halvesOf(records.map((record) => record.key - firstKey));
  const offsets = halvesOf(values.map((value) => value - valueBase));
  const data = Uint8Array.from(records.flatMap((record) => [...record.data]));
  let end = 0;
  const dataEnd = Uint32Array.from(lengths, (length) => (end += length));
  const views = allocateColumns(records.length, data.length, {
    keys: keys.high !== null,
    values: offsets.high !== null,
    lengths: !isEven,
  });
  views.keyLow.set(keys.low);
  if (keys.high !== null) views.keyHigh?.set(keys.high);
  views.valueLow.set(offsets.low);
  if (offsets.high !== null) views.valueHigh?.set(offsets.high);
  views.dataEnd?.set(dataEnd);
  views.data.set(data);
  return {
    recordCount: records.length,
    firstKey,
    lastKey,
    valueBase,
    dataLength: isEven ? (lengths[0] ?? -1) : -1,
    ...views,
  };
}

/** Columns of at most `recordsPerChunk` records each. */
export function chunksOf(records: readonly TestRecord[], recordsPerChunk: number): Columns[] {
  const chunks: Columns[] = [];
  for (let i = 0; i < records.length; i += recordsPerChunk) {
    chunks.push(columnsOf(records.slice(i, i + recordsPerChunk)));
  }
  return chunks;
}

/** Columns as a builder splits the records: at its maximum of records, or bytes of rows. */
export function filledChunksOf(
  records: readonly TestRecord[],
  limitRecords: number = CHUNK_TARGET_RECORDS,
): Columns[] {
  const chunks: TestRecord[][] = [];
  let bytes = 0;
  for (const record of records) {
    const rowBytes = 20 + record.data.length;
    const last = chunks.at(-1);
    if (
      last === undefined ||
      last.length === limitRecords ||
      bytes + rowBytes > CHUNK_TARGET_BYTES
    ) {
      chunks.push([record]);
      bytes = rowBytes;
    } else {
      last.push(record);
      bytes += rowBytes;
    }
  }
  return chunks.map(columnsOf);
}

/** Columns with the halves of their bases, as a builder takes them. */
export function splitOf(columns: Columns): SplitColumns {
  const { firstKey, valueBase } = columns;
  return {
    columns,
    firstLow: Number(firstKey & 0xffff_ffffn),
    firstHigh: Number(firstKey >> 32n),
    baseLow: Number(valueBase & 0xffff_ffffn),
    baseHigh: Number(valueBase >> 32n),
  };
}

function halvesOf(values: readonly bigint[]): { low: Uint32Array; high: Uint32Array | null } {
  const low = Uint32Array.from(values, (value) => Number(value & 0xffff_ffffn));
  const high = Uint32Array.from(values, (value) => Number(value >> 32n));
  return { low, high: high.some((half) => half !== 0) ? high : null };
}
