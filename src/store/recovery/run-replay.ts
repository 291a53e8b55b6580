import { splitU64, u64Halves, compareU64 } from '../../base/u64.ts';
import { KeyCount } from '../../replay/key-count.ts';
import type { PlacedRun } from '../../replay/place-run.ts';
import type { RowPiece } from '../../replay/row-piece.ts';
import { KeyOrder, PLACE_WORDS, type OrderPlace } from '../../table/replayed/key-order.ts';
import { blocksOf } from '../../table/replayed/row-blocks.ts';
import type { ReplayedParts } from '../../table/replayed/replayed-rows.ts';
import {
  keyColumnsOf,
  type BaseChunk,
  type ChunkSpan,
  type Replayed,
  type ReplayContext,
  type ReplayedLogs,
} from './replayed-logs.ts';
import { cutPieces } from './row-pile.ts';

interface RunLayer {
  readonly buffers: readonly SharedArrayBuffer[];
  readonly runs: readonly PlacedRun[];
  readonly order: KeyOrder;
  readonly rowBytes: number;
}

/** A chunk of the base, and the first place in its key range. */
interface Touched {
  readonly ordinal: number;
  readonly order: KeyOrder;
  readonly first: OrderPlace;
}

/**
 * Makes layers, usually one, of rows whose keys ascend over all logs. They are in key order
 * already, no row is superseded, and the order serves as index.
 */
export class RunReplay implements ReplayedLogs {
  readonly #context: ReplayContext;
  /** Ascending, oldest first. */
  readonly #layers: readonly RunLayer[];
  readonly #touched: readonly Touched[];

  private constructor(
    context: ReplayContext,
    layers: readonly RunLayer[],
    spans: readonly ChunkSpan[],
  ) {
    this.#context = context;
    this.#layers = layers;
    this.#touched = layers.flatMap(({ order }) => touchedBy(order, spans));
  }

  /** `pieces`: as `isRun` requires. `spans`: key ranges of the base's chunks, ascending. */
  static async index(
    context: ReplayContext,
    pieces: readonly RowPiece[],
    spans: readonly ChunkSpan[],
  ): Promise<RunReplay> {
    const parts = cutPieces(pieces, context.layerBlocks);
    const layers = await Promise.all(parts.map((part) => placeLayer(context, part)));
    return new RunReplay(context, layers, spans);
  }

  get touchedChunks(): readonly number[] {
    const touched = new Set(this.#touched.map(({ ordinal }) => ordinal));
    return [...touched].sort((a, b) => a - b);
  }

  async count(base: readonly BaseChunk[]): Promise<Replayed> {
    const present = new Map<KeyOrder, number>();
    for (const { ordinal, order, first } of this.#touched) {
      this.#context.signal.throwIfAborted();
      await this.#context.pause?.();
      const count = countFrom(order, first, base[ordinal]!);
      present.set(order, (present.get(order) ?? 0) + count);
    }
    let recordCount = base.reduce((sum, chunk) => sum + chunk.recordCount, 0);
    const layers: ReplayedParts[] = [];
    for (const { buffers, runs, order, rowBytes } of this.#layers) {
      const currentBytes = runs.reduce((sum, { putBytes }) => sum + putBytes, 0);
      const putCount = runs.reduce((sum, run) => sum + run.putCount, 0);
      const shadowedRecords = present.get(order) ?? 0;
      const deadBytes = rowBytes - currentBytes;
      recordCount += putCount - shadowedRecords;
      const sizes = { currentBytes, deadBytes, shadowedRecords };
      layers.unshift({ buffers, slots: undefined, order: order.parts, ...sizes });
    }
    return { layers, recordCount };
  }
}

async function placeLayer(
  { runner, signal }: ReplayContext,
  pieces: readonly RowPiece[],
): Promise<RunLayer> {
  let firstBlock = 0;
  const running = pieces.map(({ entries, buffers }) => {
    const job = runner.run({ kind: 'place-run', entries, firstBlock }, { signal });
    firstBlock += buffers.reduce((sum, buffer) => sum + blocksOf(buffer), 0);
    return job;
  });
  const runs = await Promise.all(running);
  return {
    buffers: pieces.flatMap(({ buffers }) => buffers),
    runs,
    order: new KeyOrder(runs.map(({ places }) => places)),
    rowBytes: pieces.reduce((sum, { rowBytes }) => sum + rowBytes, 0),
  };
}

function touchedBy(order: KeyOrder, spans: readonly ChunkSpan[]): Touched[] {
  const touched: Touched[] = [];
  for (const [ordinal, { firstKey, lastKey }] of spans.entries()) {
    splitU64(firstKey, 'firstKey');
    const found = order.firstAbove(u64Halves[0]!, u64Halves[1]!, -1);
    const isPast = found.at === order.parts[found.part]!.length;
    const first = isPast ? { part: found.part + 1, at: 0 } : found;
    const places = order.parts[first.part];
    if (places === undefined) break;
    splitU64(lastKey, 'lastKey');
    const [lastLow, lastHigh] = [u64Halves[0]!, u64Halves[1]!];
    if (compareU64(places[first.at]!, places[first.at + 1]!, lastLow, lastHigh) <= 0) {
      touched.push({ ordinal, order, first });
    }
  }
  return touched;
}

/** Counts the keys of a chunk that are in the order, beginning at its first place in the chunk. */
function countFrom({ parts }: KeyOrder, first: OrderPlace, chunk: BaseChunk): number {
  const keys = keyColumnsOf(chunk);
  if (keys === undefined) return 0;
  const counter = new KeyCount(keys);
  splitU64(chunk.lastKey, 'lastKey');
  const [lastLow, lastHigh] = [u64Halves[0]!, u64Halves[1]!];
  let count = 0;
  for (let { part, at } = first; part < parts.length; part++, at = 0) {
    const places = parts[part]!;
    count += counter.countIn(places.subarray(at));
    const end = places.length - PLACE_WORDS;
    if (compareU64(places[end]!, places[end + 1]!, lastLow, lastHigh) >= 0) break;
  }
  return count;
}
