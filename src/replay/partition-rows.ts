import { hashKey } from '../base/key-hash.ts';
import type { Steps } from '../base/steps.ts';
import { partitionOf, PARTITIONS } from '../table/replayed/row-index.ts';
import { ENTRY_WORDS, HIGH, LOW, STEP_ENTRIES } from './row-piece.ts';

export interface PartitionedEntries {
  /** In shared memory, ordered by partition, then as they were. */
  readonly entries: Uint32Array;
  /** Start of each partition, and the end of the last one, counted in entries. */
  readonly starts: Uint32Array;
}

/** Orders the entries of a piece by partition. */
export interface PartitionRowsJob {
  readonly kind: 'partition-rows';
  readonly entries: Uint32Array;
}

export function partitionRows({ entries }: PartitionRowsJob): Steps<PartitionedEntries> {
  return partitionEntries(entries);
}

export function* partitionEntries(source: Uint32Array): Steps<PartitionedEntries> {
  const count = source.length / ENTRY_WORDS;
  const partitions = new Uint8Array(count);
  const starts = new Uint32Array(PARTITIONS + 1);
  for (let from = 0; from < count; from += STEP_ENTRIES) {
    countPartitions(source, from, Math.min(from + STEP_ENTRIES, count), partitions, starts);
    yield;
  }
  for (let i = 0; i < PARTITIONS; i++) starts[i + 1]! += starts[i]!;
  const ends = starts.slice(0, PARTITIONS);
  const entries = new Uint32Array(new SharedArrayBuffer(source.byteLength));
  for (let from = 0; from < count; from += STEP_ENTRIES) {
    scatter(source, from, Math.min(from + STEP_ENTRIES, count), partitions, ends, entries);
    yield;
  }
  return { entries, starts };
}

function countPartitions(
  source: Uint32Array,
  from: number,
  to: number,
  partitions: Uint8Array,
  counts: Uint32Array,
): void {
  for (let i = from, at = ENTRY_WORDS * from; i < to; i++, at += ENTRY_WORDS) {
    const partition = partitionOf(hashKey(source[at + LOW]!, source[at + HIGH]!));
    partitions[i] = partition;
    counts[partition + 1]!++;
  }
}

function scatter(
  source: Uint32Array,
  from: number,
  to: number,
  partitions: Uint8Array,
  ends: Uint32Array,
  entries: Uint32Array,
): void {
  for (let i = from, at = ENTRY_WORDS * from; i < to; i++, at += ENTRY_WORDS) {
    const place = ENTRY_WORDS * ends[partitions[i]!]!++;
    entries[place] = source[at]!;
    entries[place + 1] = source[at + 1]!;
    entries[place + 2] = source[at + 2]!;
    entries[place + 3] = source[at + 3]!;
  }
}
