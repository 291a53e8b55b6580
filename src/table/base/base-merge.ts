import { assert } from '../../base/assert.ts';
import { compareU64 } from '../../base/u64.ts';
import type { Base, KeyHalves } from './base.ts';
import type { Chunk } from '../chunk/chunk.ts';
import type { KeySpan } from '../chunk/key-directory.ts';
import type { KeyList } from '../chunk/span-list.ts';

/**
 * The chunks [fromOrigin, toOrigin) of the old snapshot and the gaps around them. Unless `isWhole`,
 * the last gap is covered in several parts.
 */
export interface MergeStep {
  readonly fromOrigin: number;
  readonly toOrigin: number;
  readonly isWhole: boolean;
}

/**
 * Replaces the chunks of one snapshot by those of the next, step by step in ascending order. Steps
 * are numbered by the old snapshot's chunks, even if a failed merge has already put other chunks
 * into the base.
 */
export class BaseMerge {
  readonly #snapshot: KeyList;
  /** Chunks of the old snapshot before this one are done. */
  #nextOrigin = 0;
  #lastReplacement: KeyHalves | null = null;
  /**
   * Keys of the new snapshot's chunks so far, then of the remaining old ones. The base may hold the
   * same records in other chunks.
   */
  #written: KeyList;
  /** Number of chunks that the steps have added. */
  #added = 0;

  /** `snapshot`: keys of the chunks on disk. */
  constructor(snapshot: KeyList) {
    this.#snapshot = snapshot;
    this.#written = snapshot;
  }

  /** Returns `base` with `chunks` in place of what the step covers. */
  replace(
    base: Base,
    { fromOrigin, toOrigin, isWhole }: MergeStep,
    chunks: readonly Chunk[],
  ): Base {
    const { count } = this.#snapshot;
    assert(
      this.#nextOrigin <= fromOrigin && fromOrigin <= toOrigin && toOrigin <= count,
      'a merge replaces chunks of its snapshot, in ascending order',
    );
    const replaced = base.splice(
      {
        above: this.#lastKept(fromOrigin),
        below: isWhole ? this.#firstKept(toOrigin) : this.#behindPart(toOrigin, chunks),
      },
      chunks,
    );
    const spans = chunks.map(spanOf);
    this.#written = this.#written.splice(fromOrigin + this.#added, toOrigin + this.#added, spans);
    this.#added += spans.length - (toOrigin - fromOrigin);
    this.#nextOrigin = toOrigin;
    const last = chunks.at(-1);
    if (last !== undefined) this.#lastReplacement = { low: last.lastLow, high: last.lastHigh };
    return replaced;
  }

  /**
   * The key after both the old chunks before `toOrigin` and `chunks`. It exists, because more parts
   * follow.
   */
  #behindPart(toOrigin: number, chunks: readonly Chunk[]): KeyHalves {
    const last = chunks.at(-1);
    assert(last !== undefined, 'a part holds a chunk');
    const written = behind(last.lastLow, last.lastHigh);
    if (toOrigin === 0) return written;
    const { lastLow, lastHigh } = this.#snapshot.spanAt(toOrigin - 1);
    const old = behind(lastLow, lastHigh);
    return compareU64(old.low, old.high, written.low, written.high) > 0 ? old : written;
  }

  /**
   * Returns the keys of the new snapshot's chunks, including chunks that no step replaced, after
   * the last step.
   */
  finish(): KeyList {
    return this.#written;
  }

  /** The last key before the step's range: that of the previous chunk, or of its replacement. */
  #lastKept(fromOrigin: number): KeyHalves | null {
    if (fromOrigin === 0) return this.#lastReplacement;
    const { lastLow: low, lastHigh: high } = this.#snapshot.spanAt(fromOrigin - 1);
    const replacement = this.#lastReplacement;
    if (replacement !== null && compareU64(replacement.low, replacement.high, low, high) > 0) {
      return replacement;
    }
    return { low, high };
  }

  #firstKept(toOrigin: number): KeyHalves | null {
    if (toOrigin === this.#snapshot.count) return null;
    const { firstLow, firstHigh } = this.#snapshot.spanAt(toOrigin);
    return { low: firstLow, high: firstHigh };
  }
}

/** The next key. It exists, because more chunks follow. */
function behind(lastLow: number, lastHigh: number): KeyHalves {
  const low = (lastLow + 1) >>> 0;
  return { low, high: lastHigh + (low === 0 ? 1 : 0) };
}

/** A copy without the chunk, which would keep the columns alive. */
function spanOf({ firstLow, firstHigh, lastLow, lastHigh }: KeySpan): KeySpan {
  return { firstLow, firstHigh, lastLow, lastHigh };
}
