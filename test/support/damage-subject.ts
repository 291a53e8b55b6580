import { present } from '../../src/base/assert.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import { readSnapshot } from '../../src/snapshot/snapshot-reader.ts';
import { columnsOf } from './columns.ts';
import { dumpOf, type DumpRecord } from './dump.ts';
import type { Files } from './machine.ts';
import { openedFile } from './read-only-files.ts';
import type { TestRow } from './rows.ts';
import { logOf, snapshotOf, STORE_ID } from './small-directory.ts';

/** A group of the subject's logs: its place and its sequence numbers. */
export interface SubjectGroup {
  readonly log: number;
  readonly from: number;
  readonly to: number;
  readonly first: bigint;
  readonly last: bigint;
  readonly rows: readonly TestRow[];
}

/**
 * A directory to damage: snapshot 3 with three chunks, log 4 (separate seal), log 5 (piggybacked
 * seal), log 6 (not sealed, followed by zeros), with three groups each. Batches 41 to 52; the
 * middle groups have two.
 */
export interface Subject {
  readonly files: Files;
  /** Places of the snapshot's chunks, then of its index. */
  readonly chunks: readonly { readonly from: number; readonly to: number }[];
  readonly groups: readonly SubjectGroup[];
}

export const SNAPSHOT: string = snapshotName(3);

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

const CHUNKS: readonly (readonly DumpRecord[])[] = [
  [1n, 2n, 3n].map((key) => ({ key, value: key, data: text(`first chunk ${key}`) })),
  [11n, 12n, 13n].map((key) => ({ key, value: key, data: text(`second chunk ${key}`) })),
  [21n, 22n, 23n].map((key) => ({ key, value: key, data: text(`third chunk ${key}`) })),
];

/**
 * Batch `sequence` adds a new key, changes a key that all batches change, and deletes the key of an
 * earlier batch.
 */
function batchOf(sequence: bigint): readonly TestRow[] {
  return [
    { key: 1000n + sequence, value: sequence, data: text(`batch ${sequence}`) },
    { key: 2n, value: sequence, data: text(`changed by ${sequence}`) },
    { key: 1000n + sequence - 2n, value: 0n },
  ];
}

/** The contents of the subject with these chunks and these groups. */
export function dumpOfSubject(
  chunks: readonly number[],
  groups: readonly Pick<SubjectGroup, 'rows'>[],
): string {
  const records = new Map<bigint, DumpRecord>();
  for (const chunk of chunks) {
    for (const record of CHUNKS[chunk] ?? []) records.set(record.key, record);
  }
  for (const { key, value, data = text('') } of groups.flatMap((group) => group.rows)) {
    if (value === 0n) records.delete(key);
    else records.set(key, { key, value, data });
  }
  return dumpOf([...records.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
}

const MERGED = { lengthBytes: 777, lastSequence: 40n, chain: 0x1234_5678 };

export interface SubjectOptions {
  readonly storeId?: Uint8Array;
  /** Added to the values of all batches, for another history of the same store. */
  readonly shift?: bigint;
  readonly epoch?: number;
}

export async function makeSubject(options: SubjectOptions = {}): Promise<Subject> {
  const { storeId = STORE_ID, shift = 0n, epoch = 1 } = options;
  const snapshot = await snapshotOf(3, CHUNKS.map(columnsOf), MERGED);
  const files: Files = new Map([[SNAPSHOT, snapshot]]);
  const groups: SubjectGroup[] = [];
  let predecessor = { ...MERGED, number: 3 };
  let first = 41n;
  for (const [number, seal] of [
    [4, 'alone'],
    [5, 'piggybacked'],
    [6, 'none'],
  ] as const) {
    const batches = [[first], [first + 1n, first + 2n], [first + 3n]].map((sequences) =>
      sequences.map((sequence) =>
        batchOf(sequence).map((row) => ({ ...row, value: row.value && row.value + shift })),
      ),
    );
    const zerosBehind = number === 6 ? 300 : 0;
    const log = await logOf({
      number,
      predecessor,
      groups: batches,
      seal,
      zerosBehind,
      storeId,
      epoch,
    });
    files.set(logName(number), log.bytes);
    for (const [i, group] of batches.entries()) {
      const last = first + BigInt(group.length) - 1n;
      const from = present(log.offsets[i], 'a group has a place');
      const to = present(log.offsets[i + 1], 'a group has an end');
      groups.push({ log: number, from, to, first, last, rows: group.flat() });
      first = last + 1n;
    }
    predecessor = log.asPredecessor;
  }
  return { files, groups, chunks: await chunkPlaces(snapshot) };
}

async function chunkPlaces(snapshot: Uint8Array): Promise<Subject['chunks']> {
  const read = await readSnapshot(openedFile(snapshot), 3);
  if (read.kind !== 'snapshot') throw new Error('the subject is not damaged yet');
  const places = read.index.entries.map(({ offset, lengthBytes }) => ({
    from: offset,
    to: offset + lengthBytes,
  }));
  const end = present(places.at(-1), 'there are chunks').to;
  return [...places, { from: end, to: snapshot.length - 48 }];
}
