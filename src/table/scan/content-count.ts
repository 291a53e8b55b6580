import { assert } from '../../base/assert.ts';
import { ContentSum } from '../../format/content-sum.ts';
import type { Delta } from '../delta/delta.ts';
import { FIRST_MARK, type DeltaMark } from '../delta/publication.ts';
import type { OlderLayers } from '../base/older-layers.ts';
import type { ScanMoment } from './value-scan.ts';

/** A content hash that is known: that of the table when the live delta had come to `mark`. */
export interface KnownContent {
  readonly live: Delta;
  readonly mark: DeltaMark;
  readonly value: bigint;
}

/** Records at one moment, and what was known of their content hash. */
export interface ContentMoment extends ScanMoment {
  readonly size: number;
  readonly known: KnownContent | undefined;
}

/**
 * Computes the content hash of the table as it is at a moment: from the one that is known,
 * over the rows since; or, where none is, over all records.
 */
export class ContentCount {
  readonly live: Delta;
  readonly mark: DeltaMark;
  /** Records at the same moment. */
  readonly recordCount: number;
  readonly #sum: ContentSum;
  readonly #steps: Generator<void, void, undefined>;
  #isDone = false;

  constructor({ live, mark, older, size, known }: ContentMoment) {
    this.live = live;
    this.mark = mark;
    this.recordCount = size;
    this.#sum = new ContentSum(known?.value ?? 0n);
    this.#steps = this.#run(older, known);
  }

  /**
   * Sums up some records more, in less than a millisecond unless they are large. False when all are
   * summed up.
   */
  step(): boolean {
    this.#isDone = this.#steps.next().done === true;
    return !this.#isDone;
  }

  /** When `step` has returned false. */
  get value(): bigint {
    assert(this.#isDone, 'all records are summed up');
    return this.#sum.value;
  }

  *#run(older: OlderLayers, known: KnownContent | undefined): Generator<void, void, undefined> {
    if (known === undefined) yield* older.addTo(this.#sum);
    yield* this.live.sumBetween(this.#sum, known?.mark ?? FIRST_MARK, this.mark, older);
  }
}
