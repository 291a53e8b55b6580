import { chooseSplitters } from '../../replay/choose-splitters.ts';
import type { IndexedRows } from '../../replay/index-rows.ts';
import type { KeySplitters } from '../../replay/key-ranges.ts';
import type { OrderedRows, OrderRowsJob } from '../../replay/order-rows.ts';
import type { PartitionedPiece } from '../../replay/row-piece.ts';
import type { KeyColumns } from '../../table/chunk/key-columns.ts';
import { PLACE_WORDS } from '../../table/replayed/key-order.ts';
import type { ReplayedParts } from '../../table/replayed/replayed-rows.ts';
import type { RowIndexParts } from '../../table/replayed/row-index.ts';
import {
  keyColumnsOf,
  type BaseChunk,
  type ChunkSpan,
  type Replayed,
  type ReplayContext,
  type ReplayedLogs,
} from './replayed-logs.ts';
import { cutPieces, partitionRanges, placePieces } from './row-pile.ts';

/** Approximate number of keys that a job looks up. */
const JOB_KEYS = 65_536;
const JOBS_PER_JOB = 4;

/** Indexed rows, for which older layers have not been searched yet. */
interface Indexed {
  readonly buffers: readonly SharedArrayBuffer[];
  readonly slots: readonly Uint32Array[];
  readonly groups: readonly IndexedRows[];
  readonly rowBytes: number;
  /** For each range, the ordinal of the chunk that may hold its keys, or -1. */
  readonly chunkOrdinals: Int32Array;
}

/**
 * Makes layers, usually one, of the rows read from logs. Jobs divide the work by hash or by key, so
 * the order in which keys were written does not matter.
 *
 * 1. `index`: each job takes some partitions of the key hashes. From the newest row to the oldest,
 *    it inserts each key into the partition's hash table, and assigns the row's place to its key
 *    range.
 * 2. `count`: each job takes some key ranges. It sorts the places of each range, which is fast
 *    because a range has a few thousand, and merges them with the keys of the base's chunk to find
 *    which keys the base holds. The number of records requires nothing else of the base. Iterators
 *    use the sorted places.
 *
 * Rows stay where they were decoded.
 */
export class Replay implements ReplayedLogs {
  readonly #context: ReplayContext;
  readonly #spans: readonly ChunkSpan[];
  /** Oldest first. */
  readonly #layers: Indexed[] = [];

  private constructor(context: ReplayContext, spans: readonly ChunkSpan[]) {
    this.#context = context;
    this.#spans = spans;
  }

  /** `pieces`: oldest first. `spans`: key ranges of the base's chunks, ascending. */
  static async index(
    context: ReplayContext,
    pieces: readonly PartitionedPiece[],
    spans: readonly ChunkSpan[],
  ): Promise<Replay> {
    const replay = new Replay(context, spans);
    for (const part of cutPieces(pieces, context.layerBlocks)) {
      replay.#layers.push(await replay.#indexLayer(part));
    }
    return replay;
  }

  async #indexLayer(pieces: readonly PartitionedPiece[]): Promise<Indexed> {
    const { runner, signal } = this.#context;
    const splitters = chooseSplitters(
      pieces,
      this.#spans.map(({ firstKey }) => firstKey),
    );
    const placed = placePieces(pieces);
    const running: Promise<IndexedRows>[] = [];
    for (const partitions of partitionRanges(pieces, runner.parallelism)) {
      const job = { kind: 'index-rows' as const, pieces: placed, partitions, splitters };
      running.push(runner.run(job, { signal }));
      // In turn, so that each uses the memory of the one before it again.
      if (runner.parallelism === 1) await running.at(-1);
    }
    const groups = await Promise.all(running);
    return {
      buffers: pieces.flatMap(({ buffers }) => buffers),
      slots: groups.flatMap(({ slots }) => slots),
      groups,
      rowBytes: pieces.reduce((sum, { rowBytes }) => sum + rowBytes, 0),
      chunkOrdinals: chunkOrdinals(splitters, this.#spans),
    };
  }

  get touchedChunks(): readonly number[] {
    const touched = new Set<number>();
    for (const { chunkOrdinals: ordinals, groups } of this.#layers) {
      for (const [range, ordinal] of ordinals.entries()) {
        if (ordinal < 0 || touched.has(ordinal)) continue;
        const { lastKey } = this.#spans[ordinal]!;
        if (groups.some((group) => holdsKeyUpTo(group, range, lastKey))) touched.add(ordinal);
      }
    }
    return [...touched].sort((a, b) => a - b);
  }

  async count(base: readonly BaseChunk[]): Promise<Replayed> {
    const layers: (ReplayedParts & RowIndexParts)[] = [];
    let recordCount = base.reduce((sum, chunk) => sum + chunk.recordCount, 0);
    for (const indexed of this.#layers) {
      const ordered = await this.#order(indexed, layers, base);
      const { buffers, slots, groups, rowBytes } = indexed;
      const currentBytes = sumOf(groups, ({ putBytes }) => putBytes);
      const shadowedRecords = sumOf(ordered, ({ present }) => present);
      recordCount += sumOf(groups, ({ putCount }) => putCount) - shadowedRecords;
      layers.unshift({
        buffers,
        slots,
        order: ordered.map(({ places }) => places),
        currentBytes,
        deadBytes: rowBytes - currentBytes,
        shadowedRecords,
      });
    }
    return { layers, recordCount };
  }

  /** `older`: layers, newest first. */
  async #order(
    { groups, chunkOrdinals: ordinals }: Indexed,
    older: readonly RowIndexParts[],
    base: readonly BaseChunk[],
  ): Promise<OrderedRows[]> {
    const { runner, signal, pause } = this.#context;
    const layers = older.map(({ buffers, slots }) => ({ buffers, slots }));
    const makeJob = ([from, to]: [number, number]): OrderRowsJob => {
      const chunks: (KeyColumns | undefined)[] = [];
      for (let range = from; range < to; range++) {
        const chunk = base[ordinals[range]!];
        const isSame = range > from && ordinals[range] === ordinals[range - 1];
        if (chunk === undefined) chunks.push(undefined);
        else chunks.push(isSame ? chunks.at(-1) : keyColumnsOf(chunk));
      }
      const parts = groups.map(({ starts, places }) => ({
        starts: starts.slice(from, to + 1),
        places: places.subarray(PLACE_WORDS * starts[from]!, PLACE_WORDS * starts[to]!),
      }));
      return { kind: 'order-rows', groups: parts, chunks, layers };
    };
    const running: Promise<OrderedRows>[] = [];
    // Highest keys first. A key half of 2 ** 31 and more is not a small integer of V8, so code that
    // was compiled for lower ones would be compiled again.
    for (const range of keyRanges(groups, runner.parallelism).toReversed()) {
      // Creating a job takes time for each chunk.
      await pause?.();
      const job = runner.run(makeJob(range), { signal });
      // The failure is reported when the promise is awaited.
      job.catch(() => undefined);
      running.push(job);
    }
    return (await Promise.all(running)).toReversed();
  }
}

/**
 * For each range, the chunk that has its first key. No range has keys of two chunks, because ranges
 * are also divided at the first keys of chunks.
 */
function chunkOrdinals({ low, high }: KeySplitters, spans: readonly ChunkSpan[]): Int32Array {
  const ordinals = new Int32Array(low.length + 1).fill(-1);
  let next = 0;
  for (let i = 0; i < low.length; i++) {
    const first = (BigInt(high[i]!) << 32n) | BigInt(low[i]!);
    while (next < spans.length && spans[next]!.firstKey <= first) next++;
    if (next > 0 && first <= spans[next - 1]!.lastKey) ordinals[i + 1] = next - 1;
  }
  return ordinals;
}

function holdsKeyUpTo({ starts, places }: IndexedRows, range: number, last: bigint): boolean {
  const low = Number(last & 0xffff_ffffn);
  const high = Number(last >> 32n);
  const end = PLACE_WORDS * starts[range + 1]!;
  for (let at = PLACE_WORDS * starts[range]!; at < end; at += PLACE_WORDS) {
    const own = places[at + 1]!;
    if (own < high || (own === high && places[at]! <= low)) return true;
  }
  return false;
}

/** Divides the ranges among jobs, by number of keys. */
function keyRanges(groups: readonly IndexedRows[], parallelism: number): [number, number][] {
  const rangeCount = groups[0]!.starts.length - 1;
  const keyCount = groups.reduce((sum, { starts }) => sum + starts[rangeCount]!, 0);
  const perJob = Math.max(JOB_KEYS, keyCount / (JOBS_PER_JOB * parallelism));
  const ranges: [number, number][] = [];
  let from = 0;
  let keys = 0;
  for (let range = 0; range < rangeCount; range++) {
    for (const { starts } of groups) keys += starts[range + 1]! - starts[range]!;
    if (keys < perJob && range < rangeCount - 1) continue;
    ranges.push([from, range + 1]);
    from = range + 1;
    keys = 0;
  }
  return ranges;
}

function sumOf<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((sum, one) => sum + of(one), 0);
}
