import { assert } from '../../base/assert.ts';
import { ContentSum } from '../../format/content-sum.ts';
import type { Delta } from '../delta/delta.ts';
import { FIRST_MARK, type DeltaMark } from '../delta/publication.ts';
import type { OlderLayers } from '../base/older-layers.ts';
import type { ScanMoment } from './value-scan.ts';

/** A known content hash: that of the table when the live delta was at `mark`. */
export interface KnownContent {
  readonly live: Delta;
  readonly mark: DeltaMark;
  readonly value: bigint;
}

/** The records at one point in time, and what was known of their content hash. */
export interface ContentMoment extends ScanMoment {
  readonly size: number;
  readonly known: KnownContent | undefined;
}

/**
 * Computes the content hash of the table at one point in time. It starts from the known hash and
 * adds newer rows; without a known hash it sums all records.
 */
export class ContentCount {
  readonly live: Delta;
  readonly mark: DeltaMark;
  /** Number of records at that time. */
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
   * Sums more records, in less than a millisecond unless they are large. Returns false when all are
   * summed.
   */
  step(): boolean {
    this.#isDone = this.#steps.next().done === true;
    return !this.#isDone;
  }

  /** Available when `step` has returned false. */
  get value(): bigint {
    assert(this.#isDone, 'all records are summed up');
    return this.#sum.value;
  }

  *#run(older: OlderLayers, known: KnownContent | undefined): Generator<void, void, undefined> {
    if (known === undefined) yield* older.addTo(this.#sum);
    yield* this.live.sumBetween(this.#sum, known?.mark ?? FIRST_MARK, this.mark, older);
  }
}
