import { splitU64, u64Halves } from '../../base/u64.ts';
import { finishInSlices, type Steps } from '../../base/steps.ts';
import type { Columns } from '../../format/columns.ts';
import {
  intervalOf,
  STEP_INTERVALS,
  type IntervalWords,
  type KeyInterval,
} from '../../base/interval-set.ts';
import { PieceBuilder } from '../../replay/piece-builder.ts';
import type { RowPiece } from '../../replay/row-piece.ts';
import { DeleteRows } from '../../runs/interval-deletes.ts';
import { Chunk } from '../../table/chunk/chunk.ts';
import { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import { U64Filter } from '../../table/layer/value-search.ts';
import type { RecoveryContext } from './recovery-context.ts';

const FIRST_BUFFER_BYTES: number = 64 * 1024;
/** A piece of more deletes is ended: about a MiB of rows. */
const PIECE_DELETES = 40_000;

interface KeySpan {
  readonly firstKey: bigint;
  readonly lastKey: bigint;
}

/** A chunk, and the index of the first interval that reaches into it. */
interface CoveredChunk<C extends KeySpan> {
  readonly ordinal: number;
  readonly chunk: C;
  readonly first: number;
}

/**
 * Chunks into which intervals reach. Both ascend, and none of a list overlap. Undefined: the end of
 * a step.
 */
function* eachCovered<C extends KeySpan>(
  intervals: IntervalWords,
  chunks: readonly C[],
): Generator<CoveredChunk<C> | undefined, void, undefined> {
  const count = intervals.length / 2;
  let first = 0;
  for (const [ordinal, chunk] of chunks.entries()) {
    if (ordinal % STEP_INTERVALS === 0) yield undefined;
    while (first < count && intervals[2 * first + 1]! < chunk.firstKey) {
      if (++first % STEP_INTERVALS === 0) yield undefined;
    }
    if (first === count) return;
    if (intervals[2 * first]! <= chunk.lastKey) yield { ordinal, chunk, first };
  }
}

/** Ordinals of the chunks that may have a key in an interval, ascending, as both arguments. */
export function* coveredChunks(
  intervals: IntervalWords,
  spans: readonly KeySpan[],
): Steps<number[]> {
  const ordinals: number[] = [];
  for (const covered of eachCovered(intervals, spans)) {
    if (covered === undefined) yield;
    else ordinals.push(covered.ordinal);
  }
  return ordinals;
}

/**
 * Deletes of the snapshot's keys in these intervals, which ascend and do not overlap. They are
 * older than all rows of logs. Chunks in {@link coveredChunks} are in memory.
 */
export async function snapshotDeletes(
  { pause, signal }: Pick<RecoveryContext, 'pause' | 'signal'>,
  intervals: IntervalWords,
  chunks: readonly (Columns | LazyChunk)[],
): Promise<RowPiece[]> {
  const deletes = new DeletePieces(pause);
  for (const covered of eachCovered(intervals, chunks)) {
    signal.throwIfAborted();
    await deletes.rest();
    if (covered === undefined) continue;
    const { chunk, first } = covered;
    for (let i = first; 2 * i < intervals.length && intervals[2 * i]! <= chunk.lastKey; i++) {
      signal.throwIfAborted();
      await deletes.rest();
      addKeysOf(chunk, intervalOf(intervals, i), deletes);
    }
  }
  return deletes.finish();
}

/**
 * Rows that delete one key each, in pieces of bounded length: a builder searches a long piece for
 * superseded rows all at once, which is too long for the thread that opens the store.
 */
class DeletePieces {
  readonly #pause: RecoveryContext['pause'];
  readonly #pieces: RowPiece[] = [];
  readonly #rows: DeleteRows = new DeleteRows((rows) => this.#builder.add(rows));
  #builder: PieceBuilder = new PieceBuilder(FIRST_BUFFER_BYTES);
  #count = 0;

  constructor(pause: RecoveryContext['pause']) {
    this.#pause = pause;
  }

  add(low: number, high: number): void {
    this.#rows.add(low, high);
    this.#count++;
  }

  /** Yields to the event loop. Ends the piece if it is long enough. */
  async rest(): Promise<void> {
    await this.#pause?.();
    if (this.#count >= PIECE_DELETES) await this.#end();
  }

  async finish(): Promise<RowPiece[]> {
    await this.#end();
    return this.#pieces;
  }

  async #end(): Promise<void> {
    this.#rows.flush();
    this.#pieces.push(...(await finishInSlices(this.#builder.finish(), this.#pause)));
    this.#builder = new PieceBuilder(FIRST_BUFFER_BYTES);
    this.#count = 0;
  }
}

function addKeysOf(slot: Columns | LazyChunk, interval: KeyInterval, deletes: DeletePieces): void {
  const chunk = slot instanceof LazyChunk ? slot.chunk : new Chunk(slot);
  const filter = new U64Filter(interval);
  splitU64(interval.lowest, 'lowest');
  const { recordCount } = chunk;
  for (let i = chunk.lowerBound(u64Halves[0]!, u64Halves[1]!); i < recordCount; i++) {
    const low = chunk.keyLowAt(i);
    const high = chunk.keyHighAt(i);
    if (!filter.accepts(low, high)) return;
    deletes.add(low, high);
  }
}
