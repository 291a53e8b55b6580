import type { KeySplitters } from './key-ranges.ts';
import { ENTRY_WORDS, HIGH, LOW, type PartitionedPiece } from './row-piece.ts';

/** Approximate number of rows of a range. Sorting them takes a fraction of a millisecond. */
const RANGE_ROWS = 2_048;

const MOST_SAMPLES: number = 2 ** 15;

/**
 * Chooses keys that divide rows into ranges of a few thousand, by a sample of the rows. No range
 * spans the first key of a chunk (`chunkFirsts`, ascending).
 */
export function chooseSplitters(
  pieces: readonly PartitionedPiece[],
  chunkFirsts: readonly bigint[],
): KeySplitters {
  const rowCount = pieces.reduce((sum, piece) => sum + piece.rowCount, 0);
  const samples = sampleKeys(pieces);
  const rangeCount = Math.ceil(rowCount / RANGE_ROWS);
  const step = Math.max(1, samples.length / rangeCount);
  const chosen: bigint[] = [...chunkFirsts];
  for (let place = step; place < samples.length; place += step) {
    chosen.push(samples[Math.floor(place)]!);
  }
  const sorted = BigUint64Array.from(chosen).sort();
  const splitters = sorted.filter((key, i) => i === 0 || key !== sorted[i - 1]);
  return {
    low: Uint32Array.from(splitters, (key) => Number(key & 0xffff_ffffn)),
    high: Uint32Array.from(splitters, (key) => Number(key >> 32n)),
  };
}

/**
 * A sample of keys, ascending. It is taken at regular intervals from the first partition, which is
 * representative, because partitions are chosen by hash.
 */
function sampleKeys(pieces: readonly PartitionedPiece[]): BigUint64Array {
  const available = pieces.reduce((sum, { starts }) => sum + starts[1]!, 0);
  const every = Math.max(1, Math.ceil(available / MOST_SAMPLES));
  const halves: number[] = [];
  let next = 0;
  for (const { entries, starts } of pieces) {
    const end = starts[1]!;
    for (; next < end; next += every) {
      halves.push(entries[ENTRY_WORDS * next + LOW]!, entries[ENTRY_WORDS * next + HIGH]!);
    }
    next -= end;
  }
  return new BigUint64Array(Uint32Array.from(halves).buffer).sort();
}
