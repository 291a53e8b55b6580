import { assert } from '../../base/assert.ts';
import { compareU64 } from '../../base/u64.ts';
import type { Base, KeyHalves } from './base.ts';
import type { Chunk } from '../chunk/chunk.ts';
import type { KeySpan } from '../chunk/key-directory.ts';
import type { KeyList } from '../chunk/span-list.ts';

/**
 * The old snapshot's chunks [fromOrigin, toOrigin) and the gaps around them; the last gap in parts
 * unless `isWhole`.
 */
export interface MergeStep {
  readonly fromOrigin: number;
  readonly toOrigin: number;
  readonly isWhole: boolean;
}

/**
 * Replaces the chunks of one snapshot by those of the next, step by step in ascending order. Steps
 * are numbered as the old snapshot's chunks were, whatever a merge that failed has left in the
 * base.
 */
export class BaseMerge {
  readonly #snapshot: KeyList;
  /** Chunks of the old snapshot before this one have had their step. */
  #nextOrigin = 0;
  #lastReplacement: KeyHalves | null = null;
  /**
   * The new snapshot's chunks so far, and the old ones behind them. The base may hold the same
   * records in other chunks.
   */
  #written: KeyList;
  /** Chunks that steps have added to the old ones. */
  #added = 0;

  /** `snapshot`: the keys of the chunks as they stand on disk. */
  constructor(snapshot: KeyList) {
    this.#snapshot = snapshot;
    this.#written = snapshot;
  }

  /** `base` with `chunks` for what the step covers. */
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
   * The key behind the old chunks before `toOrigin` and behind `chunks`, of which there is one:
   * more follow.
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
   * Keys of the new snapshot's chunks, when all steps are done: those that no step replaces are
   * among them.
   */
  finish(): KeyList {
    return this.#written;
  }

  /** The last key before the step's range: of the chunk before, or of what a step has put there. */
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

/** The next key; there is one, since more chunks follow. */
function behind(lastLow: number, lastHigh: number): KeyHalves {
  const low = (lastLow + 1) >>> 0;
  return { low, high: lastHigh + (low === 0 ? 1 : 0) };
}

/** Without the chunk, so that its columns are not kept alive. */
function spanOf({ firstLow, firstHigh, lastLow, lastHigh }: KeySpan): KeySpan {
  return { firstLow, firstHigh, lastLow, lastHigh };
}
