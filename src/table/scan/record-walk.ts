import { joinU64, splitU64, u64Halves } from '../../base/u64.ts';
import { BaseCursor } from '../base/base-cursor.ts';
import type { Chunk } from '../chunk/chunk.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import { CursorHeap } from './cursor-heap.ts';
import { DataSlab } from './data-slab.ts';
import type { KeyPrefix } from '../layer/key-prefix.ts';
import type { KeyRange } from '../layer/key-range.ts';
import { LONG_PASS, type PassedDeletes } from '../layer/passed-deletes.ts';
import type { ContentSum } from '../../format/content-sum.ts';
import { StoredRecord, type TableRecord } from '../layer/table-record.ts';

/** Shorter stretches are iterated record by record, because finding their end would cost more. */
const SHORTEST_STRETCH = 4;

/** Number of deletes that {@link RecordWalk.stepSome} passes: some tens of microseconds. */
const MOST_DELETES = 256;

/** The result of a step: a record, the end, or a bounded number of deletes. */
export type Step = 'record' | 'end' | 'deletes';

/**
 * Iterates over the records of a range in several layers. Where a single chunk has the next keys,
 * the iteration increments an index in it, one stretch at a time, and compares cursors only between
 * stretches. The current record is valid until `step`.
 */
export class RecordWalk {
  readonly #range: KeyRange;
  readonly #makeCursors: (seek: Seek) => Cursor[];
  readonly #keys: KeyPrefix | undefined;
  readonly #passed: PassedDeletes | undefined;
  #heap: CursorHeap | undefined;
  #endLow = 0;
  #endHigh = 0;
  #left: number;
  /** The cursor of the current record, or of the chunk that has the stretch. */
  #cursor: Cursor | undefined;
  /** Undefined if the current record is the cursor's. */
  #chunk: Chunk | undefined;
  #index = 0;
  #stretchEnd = 0;
  readonly #slab: DataSlab = new DataSlab();
  /** The error of a chunk that could not be read. It ends the iteration. */
  #failure: { readonly error: unknown } | undefined;

  /**
   * With `keys`, keys are returned without its prefix, and the range must lie within it. `passed`
   * counts the deletes that long steps go over.
   */
  constructor(
    range: KeyRange,
    makeCursors: (seek: Seek) => Cursor[],
    keys?: KeyPrefix,
    passed?: PassedDeletes,
  ) {
    this.#range = range;
    this.#makeCursors = makeCursors;
    this.#keys = keys;
    this.#passed = passed;
    this.#left = range.limit;
  }

  /** Moves to the next record. Returns false after the last. */
  step(): boolean {
    return ++this.#index < this.#stretchEnd || this.#stepOut(Infinity) === 'record';
  }

  /** Like {@link step}, in bounded time: any number of deletes may precede the next record. */
  stepSome(): Step {
    return ++this.#index < this.#stretchEnd ? 'record' : this.#stepOut(MOST_DELETES);
  }

  #stepOut(maxDeletes: number): Step {
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      return this.#leave(maxDeletes);
    } catch (error) {
      // The cursors are in an inconsistent state. Continuing would skip records.
      this.end();
      this.#failure = { error };
      throw error;
    }
  }

  /** Lower half of the full key of the current record. */
  get keyLow(): number {
    const chunk = this.#chunk;
    return chunk === undefined ? this.#cursor!.low : chunk.keyLowAt(this.#index);
  }

  /** Upper half of the full key of the current record. */
  get keyHigh(): number {
    const chunk = this.#chunk;
    return chunk === undefined ? this.#cursor!.high : chunk.keyHighAt(this.#index);
  }

  key(): bigint {
    const chunk = this.#chunk;
    const key =
      chunk === undefined
        ? joinU64(this.#cursor!.low, this.#cursor!.high)
        : chunk.keyAt(this.#index);
    return this.#keys === undefined ? key : this.#keys.toShort(key);
  }

  record(): TableRecord {
    const chunk = this.#chunk;
    if (chunk === undefined) return this.#cursor!.record();
    const value = chunk.valueAt(this.#index);
    return new StoredRecord(value, this.#slab.dataAt(chunk, this.#index, this.#stretchEnd));
  }

  /**
   * Moves to the next record, or over all records of the next stretch, in bounded time. Returns
   * their number, -1 at the end.
   */
  pass(): number {
    const step = this.stepSome();
    if (step !== 'record') return step === 'end' ? -1 : 0;
    if (this.#chunk === undefined) return 1;
    const count = this.#stretchEnd - this.#index;
    this.#index = this.#stretchEnd - 1;
    return count;
  }

  /** Adds the current record, with its full key, to `sum`. */
  addTo(sum: ContentSum): void {
    if (this.#chunk !== undefined) this.#chunk.countRow(sum, 1, this.#index);
    else this.#cursor!.addTo(sum);
  }

  /** Ends the iteration early and releases the layers. */
  end(): void {
    this.#left = 0;
    this.#heap = new CursorHeap([], 'up');
    this.#cursor = undefined;
    this.#chunk = undefined;
    this.#stretchEnd = 0;
    this.#slab.clear();
  }

  /** Moves from the current record, or the stretch that ends with it, to the next one. */
  #leave(maxDeletes: number): Step {
    const heap = (this.#heap ??= this.#start());
    if (this.#chunk !== undefined) {
      (this.#cursor as BaseCursor).moveTo(this.#stretchEnd);
      heap.settleTop();
    } else if (this.#cursor !== undefined) {
      heap.advance();
    }
    this.#chunk = undefined;
    this.#cursor = undefined;
    this.#stretchEnd = 0;
    const step = this.#left > 0 ? this.#enter(heap, maxDeletes) : 'end';
    if (step === 'end') this.end();
    return step;
  }

  #start(): CursorHeap {
    const { lowest, highest, reverse } = this.#range;
    const direction = reverse ? 'down' : 'up';
    if (lowest > highest) return new CursorHeap([], direction);
    splitU64(reverse ? lowest : highest, 'bound');
    this.#endLow = u64Halves[0]!;
    this.#endHigh = u64Halves[1]!;
    splitU64(reverse ? highest : lowest, 'bound');
    const seek: Seek = { low: u64Halves[0]!, high: u64Halves[1]!, direction };
    return new CursorHeap(this.#makeCursors(seek), direction);
  }

  #enter(heap: CursorHeap, maxDeletes: number): Step {
    for (let deletes = 0; deletes < maxDeletes; deletes++) {
      const top = heap.top;
      if (top === undefined) return 'end';
      const order = top.high === this.#endHigh ? top.low - this.#endLow : top.high - this.#endHigh;
      if (this.#range.reverse ? order < 0 : order > 0) return 'end';
      if (top.isDelete) {
        heap.advance();
        if ((deletes + 1) % LONG_PASS === 0) this.#passed?.note(LONG_PASS);
        continue;
      }
      this.#cursor = top;
      if (!this.#range.reverse && top instanceof BaseCursor) this.#enterStretch(heap, top);
      if (this.#chunk === undefined) this.#left--;
      return 'record';
    }
    return 'deletes';
  }

  /** Computes how many records, from the cursor's on, no other layer shadows. */
  #enterStretch(heap: CursorHeap, cursor: BaseCursor): void {
    const chunk = cursor.chunk;
    const from = cursor.index;
    if (chunk.mayDelete) return;

    let to = chunk.recordCount;
    const other = heap.runnerUp;
    if (other !== undefined) to = chunk.lowerBoundFrom(from, other.low, other.high);
    if (to - from >= SHORTEST_STRETCH) to = Math.min(to, this.#endIn(chunk), from + this.#left);
    if (to - from < SHORTEST_STRETCH) return;
    this.#chunk = chunk;
    this.#index = from;
    this.#stretchEnd = to;
    this.#left -= to - from;
  }

  /** Index of the first record of `chunk` after the range. */
  #endIn(chunk: Chunk): number {
    const index = chunk.lowerBound(this.#endLow, this.#endHigh);
    return index + (chunk.find(this.#endLow, this.#endHigh) < 0 ? 0 : 1);
  }
}
