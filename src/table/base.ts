import { assert } from '../base/assert.ts';
import { compareU64 } from '../base/u64.ts';
import type { ContentSum } from '../format/content-sum.ts';
import type { Chunk } from './chunk.ts';
import { KeyDirectory } from './key-directory.ts';

/** An open interval of keys; null where it has no end. */
export interface KeyGap {
  readonly above: KeyHalves | null;
  readonly below: KeyHalves | null;
}

export interface KeyHalves {
  readonly low: number;
  readonly high: number;
}

/** An immutable sorted list of chunks that do not overlap. Costs per chunk, never per record. */
export class Base {
  readonly chunks: readonly Chunk[];
  readonly directory: KeyDirectory;
  readonly recordCount: number;
  /** Bytes of all columns. */
  readonly memoryBytes: number;

  constructor(chunks: readonly Chunk[]) {
    this.chunks = chunks;
    this.directory = new KeyDirectory(chunks);
    let recordCount = 0;
    let memoryBytes = 0;
    for (const chunk of chunks) {
      recordCount += chunk.recordCount;
      memoryBytes += chunk.memoryBytes;
    }
    this.recordCount = recordCount;
    this.memoryBytes = memoryBytes;
  }

  /** The chunk that holds this key, if any does. */
  chunkOf(low: number, high: number): Chunk | undefined {
    return this.chunks[this.directory.locate(low, high)];
  }

  has(low: number, high: number): boolean {
    const chunk = this.chunkOf(low, high);
    return chunk !== undefined && chunk.find(low, high) >= 0;
  }

  /** The value of this key, 0 where a record deletes it, undefined where there is none. */
  valueOfKey(low: number, high: number): bigint | undefined {
    const chunk = this.chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    return chunk === undefined || index < 0 ? undefined : chunk.valueAt(index);
  }

  /** Subtracts the record of this key, if there is one, from `sum`. */
  subtractFrom(sum: ContentSum, low: number, high: number): void {
    const chunk = this.chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    if (chunk !== undefined && index >= 0) chunk.subtractFrom(sum, index);
  }

  /** A base in which `replacement`, whose keys lie in `gap`, stands for all records in it. */
  splice(gap: KeyGap, replacement: readonly Chunk[]): Base {
    for (const chunk of replacement) {
      assert(isInside(gap, chunk), 'replacing chunks lie in the range of keys that they replace');
    }
    const before = this.#chunksUpTo(gap.above);
    const after = this.#chunksFrom(gap.below);
    return new Base([...before, ...replacement, ...after]);
  }

  /** Chunks with all records whose key is not above the limit. Cuts the last one if it must. */
  #chunksUpTo(limit: KeyHalves | null): Chunk[] {
    if (limit === null) return [];
    const index = this.directory.locate(limit.low, limit.high);
    const kept = this.chunks.slice(0, index + 1);
    const last = kept.at(-1);
    if (last === undefined || compareU64(last.lastLow, last.lastHigh, limit.low, limit.high) <= 0) {
      return kept;
    }
    const isPresent = last.find(limit.low, limit.high) >= 0;
    const end = last.lowerBound(limit.low, limit.high) + (isPresent ? 1 : 0);
    kept[index] = last.slice(0, end);
    return kept;
  }

  /** Chunks with all records whose key is not below the limit. Cuts the first one if it must. */
  #chunksFrom(limit: KeyHalves | null): Chunk[] {
    if (limit === null) return [];
    const index = Math.max(this.directory.locate(limit.low, limit.high), 0);
    const kept = this.chunks.slice(index);
    const first = kept[0];
    if (first === undefined) return kept;
    const start = first.lowerBound(limit.low, limit.high);
    if (start === first.recordCount) kept.shift();
    else if (start > 0) kept[0] = first.slice(start, first.recordCount);
    return kept;
  }
}

function isInside(gap: KeyGap, chunk: Chunk): boolean {
  const { above, below } = gap;
  return (
    (above === null || compareU64(chunk.firstLow, chunk.firstHigh, above.low, above.high) > 0) &&
    (below === null || compareU64(chunk.lastLow, chunk.lastHigh, below.low, below.high) < 0)
  );
}
