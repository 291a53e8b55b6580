import type { Steps } from '../base/steps.ts';
import { settleNarrow, settleWide } from '../table/chunk/column-search.ts';
import type { KeyColumns } from '../table/chunk/key-columns.ts';
import { RowIndex, type RowIndexParts } from '../table/replayed/row-index.ts';

/** Keys of some ranges, those of one range together. */
export interface RangedKeys {
  /** Where each range begins, and where the last one ends; counted from the first key of all ranges. */
  readonly starts: Uint32Array;
  /** In halves, from that of the first range on. */
  readonly keys: Uint32Array;
}

/** Counts the keys of some ranges that older layers hold. */
export interface CountPresentJob {
  readonly kind: 'count-present';
  readonly groups: readonly RangedKeys[];
  /** Of each range, the chunk of the base that its keys may lie in; undefined where there is none. */
  readonly chunks: readonly (KeyColumns | undefined)[];
  /** Layers between these keys and the base, newest first. */
  readonly layers: readonly RowIndexParts[];
}

export interface PresentCount {
  readonly present: number;
}

export function* countPresent({ groups, chunks, layers }: CountPresentJob): Steps<PresentCount> {
  const indexes = layers.map((layer) => new RowIndex(layer));
  let present = 0;
  for (let range = 0; range < chunks.length; range++) {
    const chunk = chunks[range];
    if (chunk === undefined && indexes.length === 0) continue;
    for (const { starts, keys } of groups) {
      const [from, to] = [starts[range]! - starts[0]!, starts[range + 1]! - starts[0]!];
      present +=
        indexes.length === 0
          ? countInChunk(keys, from, to, chunk!)
          : countInLayers(keys, from, to, indexes, chunk);
    }
    yield;
  }
  return { present };
}

/** How many of the keys [from, to) the chunk holds. */
function countInChunk(keys: Uint32Array, from: number, to: number, chunk: KeyColumns): number {
  const { words, recordCount, firstLow, firstHigh, lastLow, lastHigh, lowAt, highAt } = chunk;
  const spanHigh = lastHigh - firstHigh - (lastLow < firstLow ? 1 : 0);
  const spanLow = (lastLow - firstLow) >>> 0;
  const span = spanHigh * 0x1_0000_0000 + spanLow;
  const density = span === 0 ? 0 : (recordCount - 1) / span;
  let count = 0;
  for (let at = 2 * from; at < 2 * to; at += 2) {
    const low = keys[at]!;
    const high = keys[at + 1]!;
    const offsetHigh = high - firstHigh - (low < firstLow ? 1 : 0);
    if (offsetHigh < 0 || offsetHigh > spanHigh) continue;
    const offsetLow = (low - firstLow) >>> 0;
    if (offsetHigh === spanHigh && offsetLow > spanLow) continue;
    const guess = ((offsetHigh * 0x1_0000_0000 + offsetLow) * density + 0.5) | 0;
    if (highAt < 0) {
      const index = settleNarrow(words, lowAt, 1, recordCount, guess, offsetLow);
      if (words[lowAt + index] === offsetLow) count++;
      continue;
    }
    const index = settleWide(words, lowAt, highAt, 1, recordCount, guess, offsetLow, offsetHigh);
    if (words[lowAt + index] === offsetLow && words[highAt + index] === offsetHigh) count++;
  }
  return count;
}

function countInLayers(
  keys: Uint32Array,
  from: number,
  to: number,
  layers: readonly RowIndex[],
  chunk: KeyColumns | undefined,
): number {
  let count = 0;
  for (let i = from; i < to; i++) {
    const [low, high] = [keys[2 * i]!, keys[2 * i + 1]!];
    const state = stateIn(layers, low, high);
    if (state === 'present') count++;
    if (state === 'unknown' && chunk !== undefined) count += countInChunk(keys, i, i + 1, chunk);
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
