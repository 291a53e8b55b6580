import type { Columns } from '../../format/columns.ts';
import { Chunk } from '../../table/chunk/chunk.ts';
import type { KeyColumns } from '../../table/chunk/key-columns.ts';
import { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import type { ReplayedParts } from '../../table/replayed/replayed-rows.ts';
import type { RecoveryContext } from './recovery-context.ts';

export type ReplayContext = Pick<RecoveryContext, 'runner' | 'signal' | 'pause' | 'layerBlocks'>;

/** A chunk of the base, or what is known of it before it is loaded. */
export type BaseChunk = Columns | LazyChunk;

/** The key range of a chunk. */
export interface ChunkSpan {
  readonly firstKey: bigint;
  readonly lastKey: bigint;
}

/** Layers for the table, and the total number of records. */
export interface Replayed {
  /** Newest first. */
  readonly layers: readonly ReplayedParts[];
  readonly recordCount: number;
}

/** Indexed rows of logs. */
export interface ReplayedLogs {
  /** Ordinals of the base's chunks whose range has a key of the rows, ascending. */
  readonly touchedChunks: readonly number[];
  /** Touched chunks must be in memory. */
  count(base: readonly BaseChunk[]): Promise<Replayed>;
}

/** Undefined for a chunk that is not loaded, because no key is in its range. */
export function keyColumnsOf(chunk: BaseChunk): KeyColumns | undefined {
  return chunk instanceof LazyChunk ? chunk.loaded?.keyColumns : new Chunk(chunk).keyColumns;
}
