import type { Steps } from '../base/steps.ts';
import { RowBlocks } from '../table/replayed/row-blocks.ts';
import { PartitionEntries } from './partition-entries.ts';
import { PieceBuilder } from './piece-builder.ts';
import { LARGEST_BUFFER_BYTES } from './row-buffers.ts';
import {
  ENTRY_WORDS,
  LENGTH,
  LENGTH_MASK,
  POSITION,
  STEP_ENTRIES,
  type PartitionRange,
  type PlacedPiece,
  type RowPiece,
} from './row-piece.ts';

/** Counts the bytes of superseded rows of some partitions. */
export interface WeighRowsJob {
  readonly kind: 'weigh-rows';
  /** Oldest first. */
  readonly pieces: readonly PlacedPiece[];
  readonly partitions: PartitionRange;
}

export interface WeighedRows {
  readonly supersededBytes: number;
}

/** Copies the newest row of each key of some partitions. */
export interface PackRowsJob {
  readonly kind: 'pack-rows';
  /** Oldest first. */
  readonly pieces: readonly PlacedPiece[];
  readonly buffers: readonly SharedArrayBuffer[];
  readonly partitions: PartitionRange;
}

export interface PackedRows {
  readonly pieces: readonly RowPiece[];
}

export function* weighRows({ pieces, partitions: { from, to } }: WeighRowsJob): Steps<WeighedRows> {
  const partition = new PartitionEntries();
  let supersededBytes = 0;
  for (let i = from; i < to; i++) {
    yield* partition.gather(pieces, i);
    supersededBytes += partition.found.supersededBytes;
  }
  return { supersededBytes };
}

export function* packRows({
  pieces,
  buffers,
  partitions: { from, to },
}: PackRowsJob): Steps<PackedRows> {
  const partition = new PartitionEntries();
  const source = new RowBlocks(buffers);
  const builder = new PieceBuilder(LARGEST_BUFFER_BYTES, Infinity);
  for (let i = from; i < to; i++) {
    yield* partition.gather(pieces, i);
    const { words, found } = partition;
    for (let k = 0; k < found.keyCount; k++) {
      const at = ENTRY_WORDS * found.newest[k]!;
      builder.add(source.bytesAt(words[at + POSITION]!, words[at + LENGTH]! & LENGTH_MASK));
      if (k % STEP_ENTRIES === 0) yield;
    }
  }
  return { pieces: yield* builder.finish() };
}
