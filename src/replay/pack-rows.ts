import type { Steps } from '../base/steps.ts';
import { RowBlocks } from '../table/replayed/row-blocks.ts';
import { EntryList } from './entry-list.ts';
import { PartitionEntries } from './partition-entries.ts';
import { LARGEST_BUFFER_BYTES, RowBuffers } from './row-buffers.ts';
import {
  ENTRY_WORDS,
  HIGH,
  LENGTH,
  LENGTH_MASK,
  LOW,
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
  /** At most one. */
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
  const target = new RowBuffers(LARGEST_BUFFER_BYTES);
  const packed = new EntryList();
  let rowBytes = 0;
  for (let i = from; i < to; i++) {
    yield* partition.gather(pieces, i);
    const { words, found } = partition;
    for (let k = 0; k < found.keyCount; k++) {
      const at = ENTRY_WORDS * found.newest[k]!;
      const length = words[at + LENGTH]!;
      const lengthBytes = length & LENGTH_MASK;
      const buffer = target.roomFor(lengthBytes);
      const position = words[at + POSITION]!;
      buffer.bytes.set(source.bytesAt(position, lengthBytes), buffer.usedBytes);
      packed.append(
        words[at + LOW]!,
        words[at + HIGH]!,
        buffer.position + buffer.usedBytes,
        length,
      );
      buffer.usedBytes += lengthBytes;
      rowBytes += lengthBytes;
      if (k % STEP_ENTRIES === 0) yield;
    }
  }
  if (packed.count === 0) return { pieces: [] };
  const rowCount = packed.count;
  const partitioned = yield* packed.byPartition();
  return { pieces: [{ buffers: target.take(), ...partitioned, rowCount, rowBytes }] };
}
