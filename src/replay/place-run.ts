import type { Steps } from '../base/steps.ts';
import { BLOCK_BYTES } from '../table/delta/arena.ts';
import { DELETE_BIT, PLACE_WORDS } from '../table/replayed/key-order.ts';
import { DELETE_FLAG, ENTRY_WORDS, LENGTH, POSITION, STEP_ENTRIES } from './row-piece.ts';

/** Makes places of the ascending entries of a piece. */
export interface PlaceRunJob {
  readonly kind: 'place-run';
  readonly entries: Uint32Array;
  /** The piece's positions begin at this block. */
  readonly firstBlock: number;
}

export interface PlacedRun {
  /** In key order, in shared memory. */
  readonly places: Uint32Array;
  readonly putCount: number;
  readonly putBytes: number;
}

export function* placeRun({ entries, firstBlock }: PlaceRunJob): Steps<PlacedRun> {
  const rowCount = entries.length / ENTRY_WORDS;
  const places = new Uint32Array(new SharedArrayBuffer(4 * PLACE_WORDS * rowCount));
  const shift = firstBlock * BLOCK_BYTES;
  let putCount = 0;
  let putBytes = 0;
  for (let from = 0; from < rowCount; from += STEP_ENTRIES) {
    const end = ENTRY_WORDS * Math.min(from + STEP_ENTRIES, rowCount);
    let to = PLACE_WORDS * from;
    for (let at = ENTRY_WORDS * from; at < end; at += ENTRY_WORDS, to += PLACE_WORDS) {
      const length = entries[at + LENGTH]!;
      const position = entries[at + POSITION]! + shift;
      places[to] = entries[at]!;
      places[to + 1] = entries[at + 1]!;
      if (length >= DELETE_FLAG) {
        places[to + 2] = position + DELETE_BIT;
        continue;
      }
      places[to + 2] = position;
      putCount++;
      putBytes += length;
    }
    yield;
  }
  return { places, putCount, putBytes };
}
