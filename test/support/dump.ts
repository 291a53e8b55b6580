import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export interface DumpRecord {
  readonly key: bigint;
  readonly value: bigint;
  readonly data: Uint8Array;
}

/** One line per record, `key value hex(data)`, in the given order. */
export function dumpOf(records: Iterable<DumpRecord>): string {
  let text = '';
  for (const { key, value, data } of records) {
    text += `${key} ${value} ${Buffer.from(data).toString('hex')}\n`;
  }
  return text;
}

/** The records of a store as a dump. */
export function dumpOfStore(store: {
  entries(): Iterable<[bigint, Omit<DumpRecord, 'key'>]>;
}): string {
  const records: DumpRecord[] = [];
  for (const [key, { value, data }] of store.entries()) records.push({ key, value, data });
  return dumpOf(records);
}

/** Reads a compressed dump file. */
export function readDump(path: string): string {
  return gunzipSync(readFileSync(path)).toString('latin1');
}
