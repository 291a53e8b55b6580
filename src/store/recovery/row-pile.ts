import type {
  PartitionedPiece,
  PartitionRange,
  PlacedPiece,
  RowPiece,
} from '../../replay/row-piece.ts';
import { NO_INTERVALS, unionOf, type IntervalWords } from '../../base/interval-set.ts';
import { finishInSlices } from '../../base/steps.ts';
import { PARTITIONS } from '../../table/replayed/row-index.ts';
import { blocksOf } from '../../table/replayed/row-blocks.ts';
import { settleIntervals, type SettledPieces } from './covered-rows.ts';
import { isRun } from './piece-run.ts';
import type { RecoveryContext } from './recovery-context.ts';

/** Rows are checked for superseded ones when at least this many bytes were added. */
const LEAST_LOOK_BYTES: number = 64 * 1024 * 1024;
/** Approximate number of rows per job. */
const JOB_ROWS = 32_768;
const JOBS_PER_JOB = 4;

/** Number of position blocks below the bit that marks deletes. */
const MOST_BLOCKS = 2_048;

type PileContext = Pick<
  RecoveryContext,
  'runner' | 'signal' | 'pause' | 'lookBytes' | 'layerBlocks'
>;

/**
 * The rows of logs, oldest first, as they are read. Logs may repeat the same keys, or delete
 * intervals of them. When the bytes have doubled, and a minimum was added, deletes of intervals are
 * applied to older rows, and superseded rows are counted. If at least half of the bytes are not
 * used, the other rows are copied.
 */
export class RowPile {
  readonly #context: PileContext;
  readonly #lookBytes: number;
  #pieces: RowPiece[] = [];
  #bytes = 0;
  /** Bytes in the pieces that are no longer of rows, because an interval was deleted. */
  #freedBytes = 0;
  /** Applied to all pieces before. Ascending, and no two touch. */
  #intervals: IntervalWords = NO_INTERVALS;
  #nextLookBytes: number;

  constructor(context: PileContext) {
    this.#context = context;
    this.#lookBytes = context.lookBytes ?? LEAST_LOOK_BYTES;
    this.#nextLookBytes = this.#lookBytes;
  }

  /** Adds rows that are newer than all others. */
  async add(pieces: readonly RowPiece[]): Promise<void> {
    for (const piece of pieces) {
      this.#pieces.push(piece);
      this.#bytes += piece.rowBytes;
    }
    if (this.#bytes <= this.#nextLookBytes) return;
    await this.#settle();
    // No key of a run repeats.
    if (this.#freedBytes > 0 || !isRun(this.#pieces)) await this.#dropUnused();
    this.#nextLookBytes = this.#bytes + Math.max(this.#lookBytes, this.#bytes);
  }

  /** All rows. Nothing is added afterwards. */
  async finish(): Promise<Omit<SettledPieces, 'freedBytes'>> {
    await this.#settle();
    const isLarge = this.#bytes > this.#lookBytes;
    if (isLarge && 2 * this.#freedBytes >= this.#bytes) await this.#dropUnused();
    return { pieces: this.#pieces, intervals: this.#intervals };
  }

  async #settle(): Promise<void> {
    const { pieces, intervals, freedBytes } = await settleIntervals(this.#context, this.#pieces);
    this.#pieces = [...pieces];
    this.#freedBytes += freedBytes;
    if (intervals.length > 0) {
      const union = unionOf([this.#intervals, intervals]);
      this.#intervals = await finishInSlices(union, this.#context.pause);
    }
  }

  async #dropUnused(): Promise<void> {
    const pieces = await partitionPieces(this.#context, this.#pieces);
    this.#pieces = pieces;
    const unusedBytes = this.#freedBytes + (await this.#weigh(pieces));
    if (2 * unusedBytes >= this.#bytes) await this.#pack(pieces);
  }

  /** Counts the bytes of superseded rows. */
  async #weigh(partitioned: readonly PartitionedPiece[]): Promise<number> {
    const { runner, signal } = this.#context;
    const pieces = placePieces(partitioned);
    const ranges = partitionRanges(partitioned, runner.parallelism);
    const results = await Promise.all(
      ranges.map((partitions) =>
        runner.run({ kind: 'weigh-rows', pieces, partitions }, { signal }),
      ),
    );
    return results.reduce((sum, { supersededBytes }) => sum + supersededBytes, 0);
  }

  async #pack(pieces: readonly PartitionedPiece[]): Promise<void> {
    const packed: RowPiece[] = [];
    for (const part of cutPieces(pieces, this.#context.layerBlocks)) {
      packed.push(...(await this.#packPart(part)));
    }
    this.#pieces = packed;
    this.#bytes = packed.reduce((sum, { rowBytes }) => sum + rowBytes, 0);
    this.#freedBytes = 0;
  }

  /** The result has one row per key, so the order of its pieces does not matter. */
  async #packPart(part: readonly PartitionedPiece[]): Promise<RowPiece[]> {
    const { runner, signal } = this.#context;
    const pieces = placePieces(part);
    const buffers = part.flatMap((piece) => piece.buffers);
    const ranges = partitionRanges(part, runner.parallelism);
    const results = await Promise.all(
      ranges.map((partitions) =>
        runner.run({ kind: 'pack-rows', pieces, buffers, partitions }, { signal }),
      ),
    );
    return results.flatMap((result) => result.pieces);
  }
}

/**
 * Divides pieces into parts, usually one, whose rows can be addressed with `mostBlocks` blocks of
 * positions.
 */
export function cutPieces<P extends RowPiece>(
  pieces: readonly P[],
  mostBlocks: number = MOST_BLOCKS,
): P[][] {
  const parts: P[][] = [];
  let blocks = 0;
  for (const piece of pieces) {
    const own = piece.buffers.reduce((sum, buffer) => sum + blocksOf(buffer), 0);
    const last = parts.at(-1);
    if (last === undefined || blocks + own > mostBlocks) {
      parts.push([piece]);
      blocks = own;
    } else {
      last.push(piece);
      blocks += own;
    }
  }
  return parts;
}

/** Orders entries by partition, of the pieces in which they are not yet. */
export async function partitionPieces(
  { runner, signal }: Pick<RecoveryContext, 'runner' | 'signal'>,
  pieces: readonly RowPiece[],
): Promise<PartitionedPiece[]> {
  return Promise.all(
    pieces.map(async (piece) => {
      const { entries, starts } = piece;
      if (starts !== undefined) return { ...piece, starts };
      const result = await runner.run({ kind: 'partition-rows', entries }, { signal });
      return { ...piece, ...result };
    }),
  );
}

/** Assigns consecutive positions to the pieces. */
export function placePieces(pieces: readonly PartitionedPiece[]): PlacedPiece[] {
  let firstBlock = 0;
  return pieces.map(({ entries, starts, buffers }) => {
    const placed = { entries, starts, firstBlock };
    for (const buffer of buffers) firstBlock += blocksOf(buffer);
    return placed;
  });
}

/** Divides the partitions among jobs. */
export function partitionRanges(
  pieces: readonly RowPiece[],
  parallelism: number,
): PartitionRange[] {
  const rowCount = pieces.reduce((sum, piece) => sum + piece.rowCount, 0);
  const wanted = Math.min(Math.ceil(rowCount / JOB_ROWS), JOBS_PER_JOB * parallelism, PARTITIONS);
  const count = Math.max(1, wanted);
  return Array.from({ length: count }, (_, i) => ({
    from: Math.floor((i * PARTITIONS) / count),
    to: Math.floor(((i + 1) * PARTITIONS) / count),
  }));
}
