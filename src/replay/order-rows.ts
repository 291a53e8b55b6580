import type { Steps } from '../base/steps.ts';
import { compareU64 } from '../base/u64.ts';
import type { KeyColumns } from '../table/chunk/key-columns.ts';
import { MOST_SORTED_ROWS, SortScratch, sortSteps } from '../table/delta/row-sort.ts';
import { UnsortedRows } from '../table/delta/unsorted-rows.ts';
import { PLACE_WORDS } from '../table/replayed/key-order.ts';
import { RowBlocks } from '../table/replayed/row-blocks.ts';
import { RowIndex, type RowIndexParts } from '../table/replayed/row-index.ts';
import { KeyCount } from './key-count.ts';
import type { RangedRows } from './row-piece.ts';
import { StepCount } from './step-count.ts';

/** Sorts the rows of some key ranges, and counts the keys that older layers hold. */
export interface OrderRowsJob {
  readonly kind: 'order-rows';
  /** Rows of these ranges. `starts` count from any row; `places` begin with the first range. */
  readonly groups: readonly RangedRows[];
  /** For each range, the chunk of the base that may hold its keys. Undefined if there is none. */
  readonly chunks: readonly (KeyColumns | undefined)[];
  /** Layers between these keys and the base, newest first. */
  readonly layers: readonly RowIndexParts[];
}

export interface OrderedRows {
  /** In key order, in shared memory. */
  readonly places: Uint32Array;
  readonly present: number;
}

export function* orderRows({ groups, chunks, layers }: OrderRowsJob): Steps<OrderedRows> {
  const indexes = layers.map(({ buffers, slots }) => new RowIndex(new RowBlocks(buffers), slots));
  const rowCount = groups.reduce((sum, { places }) => sum + places.length / PLACE_WORDS, 0);
  const ordered = new Uint32Array(new SharedArrayBuffer(4 * PLACE_WORDS * rowCount));
  const sorter = new RangeSorter(groups, ordered);
  const steps = new StepCount();
  let present = 0;
  for (let range = 0; range < chunks.length; range++) {
    const from = sorter.end;
    yield* sorter.sort(range);
    const chunk = chunks[range];
    if (chunk !== undefined || indexes.length > 0) {
      const part = ordered.subarray(from, sorter.end);
      present += countPresent(part, indexes, chunk && new KeyCount(chunk));
    }
    if (steps.isDue((sorter.end - from) / PLACE_WORDS)) yield;
  }
  return { places: ordered, present };
}

/** Sorts the rows of one range after the other. */
class RangeSorter {
  /** Index of the word after the last sorted place. */
  end = 0;
  readonly #groups: readonly RangedRows[];
  readonly #ordered: Uint32Array;
  readonly #rows: UnsortedRows = new UnsortedRows();
  readonly #scratch: SortScratch = new SortScratch();
  #positions: Uint32Array = new Uint32Array(0);

  constructor(groups: readonly RangedRows[], ordered: Uint32Array) {
    this.#groups = groups;
    this.#ordered = ordered;
  }

  *sort(range: number): Steps<void> {
    const rows = this.#rows;
    rows.count = 0;
    let count = 0;
    for (const { starts } of this.#groups) count += starts[range + 1]! - starts[range]!;
    if (count === 0) return;
    if (this.#positions.length < count) this.#positions = new Uint32Array(count);
    for (const group of this.#groups) this.#gather(group, range);
    const isMany = count > MOST_SORTED_ROWS;
    this.#write(isMany ? sortMany(rows) : yield* sortSteps(rows, this.#scratch));
  }

  #gather({ starts, places }: RangedRows, range: number): void {
    const rows = this.#rows;
    const positions = this.#positions;
    const end = PLACE_WORDS * (starts[range + 1]! - starts[0]!);
    for (let at = PLACE_WORDS * (starts[range]! - starts[0]!); at < end; at += PLACE_WORDS) {
      positions[rows.count] = places[at + 2]!;
      rows.append(places[at]!, places[at + 1]!, rows.count);
    }
  }

  /** `order`: the index of the row at each place. */
  #write(order: Uint32Array): void {
    const { low, high } = this.#rows;
    const ordered = this.#ordered;
    const positions = this.#positions;
    let at = this.end;
    for (let i = 0; i < order.length; i++, at += PLACE_WORDS) {
      const index = order[i]!;
      ordered[at] = low[index]!;
      ordered[at + 1] = high[index]!;
      ordered[at + 2] = positions[index]!;
    }
    this.end = at;
  }
}

/** A range has more rows than a step can sort only if the sample of keys was not representative. */
function sortMany({ low, high, count }: UnsortedRows): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  return order.sort((a, b) => compareU64(low[a]!, high[a]!, low[b]!, high[b]!));
}

/** Counts the keys that older layers hold. */
function countPresent(
  places: Uint32Array,
  layers: readonly RowIndex[],
  chunk: KeyCount | undefined,
): number {
  if (layers.length === 0) return chunk?.countIn(places) ?? 0;
  let count = 0;
  for (let at = 0; at < places.length; at += PLACE_WORDS) {
    const state = stateIn(layers, places[at]!, places[at + 1]!);
    if (state === 'present') count++;
    if (state !== 'unknown' || chunk === undefined) continue;
    count += chunk.countIn(places.subarray(at, at + PLACE_WORDS));
  }
  return count;
}

function stateIn(
  layers: readonly RowIndex[],
  low: number,
  high: number,
): 'present' | 'deleted' | 'unknown' {
  for (const layer of layers) {
    const position = layer.find(low, high);
    if (position >= 0) return layer.blocks.isDelete(position) ? 'deleted' : 'present';
  }
  return 'unknown';
}
