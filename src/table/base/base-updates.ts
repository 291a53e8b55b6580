import type { ContentSum } from '../../format/content-sum.ts';
import type { Base } from './base.ts';
import { BaseCursor } from './base-cursor.ts';
import type { Chunk } from '../chunk/chunk.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import { KeyFilter } from './key-filter.ts';
import type { TableRecord } from '../layer/table-record.ts';
import {
  UNKNOWN_KEY,
  type DataLength,
  type FoundRecord,
  type KeyState,
  type OlderContent,
  type UpdateLayer,
} from '../layer/update-layer.ts';
import type { U64Filter, ValueRange } from '../layer/value-search.ts';

const STEP_RECORDS = 256;
/** Keys that each search adds to the filter. */
const FILTER_STEP = 16;

/** Updates, including deletes, as sorted columns: the folded logs of a merge that lacked space. */
export class BaseUpdates implements UpdateLayer {
  readonly highestLow: number;
  readonly highestHigh: number;
  readonly shadowedRecords: number;
  /** The run is folded: it has one update per key. */
  readonly deadBytes = 0;
  readonly #base: Base;
  readonly #filter: KeyFilter;
  /** The next key to add to the filter, until it has all keys. */
  #toFilter: { chunk: number; index: number } | undefined = { chunk: 0, index: 0 };

  /** `shadowedRecords`: records of older layers that the updates replace or delete. */
  constructor(base: Base, shadowedRecords: number) {
    this.#base = base;
    this.shadowedRecords = shadowedRecords;
    this.#filter = new KeyFilter(base.recordCount);
    this.highestLow = base.highestLow;
    this.highestHigh = base.highestHigh;
  }

  get memoryBytes(): number {
    return this.#base.memoryBytes + this.#filter.memoryBytes;
  }

  get currentBytes(): number {
    return this.#base.memoryBytes;
  }

  stateOf(low: number, high: number): KeyState {
    const chunk = this.#chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    if (chunk === undefined || index < 0) return 'unknown';
    return chunk.isDeleteAt(index) ? 'deleted' : 'present';
  }

  subtractFrom(sum: ContentSum, low: number, high: number): KeyState {
    const state = this.stateOf(low, high);
    if (state === 'present') this.#base.subtractFrom(sum, low, high);
    return state;
  }

  *applyTo(sum: ContentSum, older: OlderContent): Generator<void, void, undefined> {
    for (const chunk of this.#base.chunks()) {
      for (let i = 0; i < chunk.recordCount; i++) {
        older.subtractFrom(sum, chunk.keyLowAt(i), chunk.keyHighAt(i));
        if (!chunk.isDeleteAt(i)) chunk.countRow(sum, 1, i);
        if (i % STEP_RECORDS === 0) yield;
      }
    }
  }

  lookUp(low: number, high: number): TableRecord | null | undefined {
    const chunk = this.#chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    if (chunk === undefined || index < 0) return undefined;
    return chunk.isDeleteAt(index) ? null : chunk.recordAt(index);
  }

  readValue(low: number, high: number, target: Uint32Array, at: number): boolean {
    const chunk = this.#chunkOf(low, high);
    return chunk !== undefined && chunk.readValue(low, high, target, at);
  }

  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength {
    const chunk = this.#chunkOf(low, high);
    return chunk === undefined ? UNKNOWN_KEY : chunk.readData(low, high, target, offset);
  }

  *findValues(
    range: ValueRange,
    keys: U64Filter | undefined,
  ): Generator<readonly FoundRecord[], void, undefined> {
    for (const chunk of this.#base.chunks()) {
      const indexes = new Uint32Array(chunk.recordCount);
      const count = chunk.findValues(range, indexes);
      const found: FoundRecord[] = [];
      for (const index of indexes.subarray(0, count)) {
        const low = chunk.keyLowAt(index);
        const high = chunk.keyHighAt(index);
        if (keys?.accepts(low, high) === false) continue;
        found.push({ low, high, record: chunk.recordAt(index) });
      }
      yield found;
    }
  }

  cursors(seek: Seek): Cursor[] {
    return [new BaseCursor(this.#base, seek)];
  }

  /** The chunk that may hold this key. With the filter complete, rarely a chunk that does not. */
  #chunkOf(low: number, high: number): Chunk | undefined {
    if (this.#toFilter !== undefined) this.#filterMore(this.#toFilter);
    else if (!this.#filter.mayHold(low, high)) return undefined;
    return this.#base.chunkOf(low, high);
  }

  /** Adds few keys at a time, so that no search takes long. */
  #filterMore(next: { chunk: number; index: number }): void {
    const chunk = this.#base.chunkAt(next.chunk)!;
    const end = Math.min(next.index + FILTER_STEP, chunk.recordCount);
    for (let i = next.index; i < end; i++) this.#filter.add(chunk.keyLowAt(i), chunk.keyHighAt(i));
    next.index = end;
    if (end < chunk.recordCount) return;
    next.chunk++;
    next.index = 0;
    if (next.chunk === this.#base.chunkCount) this.#toFilter = undefined;
  }
}
