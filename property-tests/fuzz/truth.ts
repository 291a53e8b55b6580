import { createHash } from 'node:crypto';
import { viewOf } from '../../src/base/bytes.ts';
import { parseFileName } from '../../src/format/file-name.ts';
import { readAncestorSnapshot } from '../../src/jobs/load-ancestor.ts';
import type { Columns } from '../../src/format/columns.ts';
import { scanLog } from '../../src/log/log-scan.ts';
import { ChunkReader, readSnapshot } from '../../src/snapshot/snapshot-reader.ts';
import { openedFile, readOnlyFiles } from '../../test/support/read-only-files.ts';
import { STORE_ID } from '../../test/support/small-directory.ts';
import type { CorpusDirectory } from './corpus.ts';

const MASK = 2n ** 64n - 1n;

/** A hash of a record; equal for different records with a probability of 2^-48. */
export function recordHash(key: bigint, value: bigint, data: Uint8Array): bigint {
  const digest = createHash('sha1').update(`${key} ${value} `).update(data).digest();
  return BigInt(digest.readUIntBE(0, 6));
}

/** A hash of a set of records, independent of their order. */
export class StateDigest {
  #sum = 0n;
  readonly #hashes = new Map<bigint, bigint>();

  set(key: bigint, value: bigint, data: Uint8Array): void {
    this.#sum = (this.#sum - (this.#hashes.get(key) ?? 0n)) & MASK;
    this.#hashes.delete(key);
    if (value === 0n) return;
    const hash = recordHash(key, value, data);
    this.#hashes.set(key, hash);
    this.#sum = (this.#sum + hash) & MASK;
  }

  get text(): string {
    return `${this.#hashes.size} records, ${this.#sum.toString(16)}`;
  }

  get hashes(): ReadonlyMap<bigint, bigint> {
    return this.#hashes;
  }
}

/** All states that an undamaged directory could have shown. */
export interface Truth {
  /** Digests of the states after each group, for each existing snapshot as the start. */
  readonly states: ReadonlySet<string>;
  /** Hashes of all records that a key ever had. */
  readonly records: ReadonlyMap<bigint, ReadonlySet<bigint>>;
}

const NEVER = new AbortController().signal;

type Row = readonly [key: bigint, value: bigint, data: Uint8Array];

function rowsIn(rows: Uint8Array): Row[] {
  const view = viewOf(rows);
  const found: Row[] = [];
  for (let offset = 0; offset < rows.length;) {
    const end = offset + 20 + view.getUint32(offset + 16, true);
    const [key, value] = [view.getBigUint64(offset, true), view.getBigUint64(offset + 8, true)];
    found.push([key, value, rows.slice(offset + 20, end)]);
    offset = end;
  }
  return found;
}

function* rowsOfColumns(columns: Columns): Generator<Row> {
  const { keyLow, keyHigh, valueLow, valueHigh, dataEnd, dataLength, data } = columns;
  for (let i = 0; i < columns.recordCount; i++) {
    const key = columns.firstKey + (BigInt(keyHigh?.[i] ?? 0) << 32n) + BigInt(keyLow[i]!);
    const value = columns.valueBase + (BigInt(valueHigh?.[i] ?? 0) << 32n) + BigInt(valueLow[i]!);
    const end = dataEnd === null ? (i + 1) * dataLength : dataEnd[i]!;
    const start = dataEnd === null ? end - dataLength : (dataEnd[i - 1] ?? 0);
    yield [key, value, data.slice(start, end)];
  }
}

async function snapshotRows(
  directory: CorpusDirectory,
  name: string,
  number: number,
): Promise<Row[]> {
  const bytes = directory.files.get(name)!;
  const file = openedFile(bytes);
  const result = await readSnapshot(file, number);
  if (result.kind === 'snapshot') {
    const reader = new ChunkReader(file, bytes.length, result.header.storeId, number);
    const rows: Row[] = [];
    for (const [ordinal, entry] of result.index.entries.entries()) {
      const columns = await reader.read(entry, ordinal);
      if (!('kind' in columns)) rows.push(...rowsOfColumns(columns));
    }
    return rows;
  }
  const found = await readAncestorSnapshot(readOnlyFiles(directory.files), `/s/${name}`, NEVER);
  return Array.isArray(found) ? found.flatMap((columns) => [...rowsOfColumns(columns)]) : [];
}

/** Groups of all logs in ascending order, with the number of their log. */
async function groupsOf(directory: CorpusDirectory): Promise<[number, Row[]][]> {
  const logs = [...directory.files.keys()]
    .map((name) => ({ name, parsed: parseFileName(name) }))
    .flatMap(({ name, parsed }) => (parsed.kind === 'log' ? [{ name, number: parsed.number }] : []))
    .sort((a, b) => a.number - b.number);
  const groups: [number, Row[]][] = [];
  for (const { name, number } of logs) {
    await scanLog(readOnlyFiles(directory.files), `/s/${name}`, {
      number,
      storeId: STORE_ID,
      onGroup: ({ rows }) => groups.push([number, rowsIn(rows)]),
    });
  }
  return groups;
}

/** Reads an undamaged directory. Other tests check that this agrees with the golden dumps. */
export async function truthOf(directory: CorpusDirectory): Promise<Truth> {
  const states = new Set<string>();
  const records = new Map<bigint, Set<bigint>>();
  const groups = await groupsOf(directory);
  const bases: [number, Row[]][] = [[-1, []]];
  for (const name of directory.files.keys()) {
    const parsed = parseFileName(name);
    if (parsed.kind !== 'snapshot') continue;
    bases.push([parsed.number, await snapshotRows(directory, name, parsed.number)]);
  }
  for (const [number, rows] of bases) {
    const digest = new StateDigest();
    for (const group of [rows, ...groups.filter(([log]) => log > number).map((pair) => pair[1])]) {
      for (const [key, value, data] of group) {
        digest.set(key, value, data);
        const hash = digest.hashes.get(key);
        if (hash === undefined) continue;
        const known = records.get(key) ?? new Set();
        records.set(key, known.add(hash));
      }
      states.add(digest.text);
    }
  }
  return { states, records };
}
