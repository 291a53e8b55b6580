import { splitU64, u64Halves } from '../../base/u64.ts';
import { finishInSlices } from '../../base/steps.ts';
import type { Columns } from '../../format/columns.ts';
import type { KeyInterval } from '../../format/range-row.ts';
import { PieceBuilder } from '../../replay/piece-builder.ts';
import {
  DELETE_FLAG,
  ENTRY_WORDS,
  HIGH,
  LENGTH,
  LOW,
  STEP_ENTRIES,
  type RowPiece,
} from '../../replay/row-piece.ts';
import { DeleteRows } from '../../runs/interval-deletes.ts';
import { Chunk } from '../../table/chunk/chunk.ts';
import { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import { U64Filter } from '../../table/layer/value-search.ts';
import type { RecoveryContext } from './recovery-context.ts';

type Context = Pick<RecoveryContext, 'pause' | 'signal'>;

const FIRST_BUFFER_BYTES: number = 64 * 1024;
/** A piece of more deletes is ended: about a MiB of rows. */
const PIECE_DELETES = 40_000;

/** Chunks whose keys an interval of these pieces deletes, by ordinal, ascending. */
export function coveredChunks(
  pieces: readonly RowPiece[],
  spans: readonly { readonly firstKey: bigint; readonly lastKey: bigint }[],
): number[] {
  const intervals = pieces.flatMap(({ interval }) => interval ?? []);
  return spans.flatMap(({ firstKey, lastKey }, ordinal) => {
    const isCovered = intervals.some((one) => one.lowest <= lastKey && one.highest >= firstKey);
    return isCovered ? [ordinal] : [];
  });
}

/**
 * Puts a delete of each key in the place of the deletes of intervals: of each key that the chunks,
 * or older pieces, hold in the interval. Chunks in {@link coveredChunks} are in memory.
 */
export async function expandIntervals(
  context: Context,
  pieces: readonly RowPiece[],
  chunks: readonly (Columns | LazyChunk)[],
): Promise<RowPiece[]> {
  const expanded: RowPiece[] = [];
  for (const piece of pieces) {
    if (piece.interval === undefined) expanded.push(piece);
    else expanded.push(...(await deletesOf(context, piece.interval, expanded, chunks)));
  }
  return expanded;
}

async function deletesOf(
  { pause, signal }: Context,
  interval: KeyInterval,
  older: readonly RowPiece[],
  chunks: readonly (Columns | LazyChunk)[],
): Promise<RowPiece[]> {
  const deletes = new DeletePieces(pause);
  const filter = new U64Filter(interval);
  for (const chunk of chunks) {
    if (chunk.lastKey < interval.lowest || chunk.firstKey > interval.highest) continue;
    signal.throwIfAborted();
    await deletes.rest();
    addKeysOf(chunk, interval, filter, deletes);
  }
  for (const { entries } of older) {
    for (let from = 0; from < entries.length; from += ENTRY_WORDS * STEP_ENTRIES) {
      signal.throwIfAborted();
      await deletes.rest();
      const to = Math.min(entries.length, from + ENTRY_WORDS * STEP_ENTRIES);
      for (let at = from; at < to; at += ENTRY_WORDS) {
        if (entries[at + LENGTH]! >= DELETE_FLAG) continue;
        const low = entries[at + LOW]!;
        const high = entries[at + HIGH]!;
        if (filter.accepts(low, high)) deletes.add(low, high);
      }
    }
  }
  return deletes.finish();
}

/**
 * Rows that delete one key each, in pieces of bounded length: a builder searches a long piece for
 * superseded rows all at once, which is too long for the thread that opens the store.
 */
class DeletePieces {
  readonly #pause: Context['pause'];
  readonly #pieces: RowPiece[] = [];
  readonly #rows: DeleteRows = new DeleteRows((rows) => this.#builder.add(rows));
  #builder: PieceBuilder = new PieceBuilder(FIRST_BUFFER_BYTES);
  #count = 0;

  constructor(pause: Context['pause']) {
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

function addKeysOf(
  slot: Columns | LazyChunk,
  { lowest }: KeyInterval,
  filter: U64Filter,
  deletes: DeletePieces,
): void {
  const chunk = slot instanceof LazyChunk ? slot.chunk : new Chunk(slot);
  splitU64(lowest, 'lowest');
  const { recordCount } = chunk;
  for (let i = chunk.lowerBound(u64Halves[0]!, u64Halves[1]!); i < recordCount; i++) {
    const low = chunk.keyLowAt(i);
    const high = chunk.keyHighAt(i);
    if (!filter.accepts(low, high)) return;
    deletes.add(low, high);
  }
}
