import type { ContentSum } from '../format/content-sum.ts';
import type { Base } from './base.ts';
import { BaseCursor } from './base-cursor.ts';
import type { Cursor, Seek } from './cursor.ts';
import type { TableRecord } from './table-record.ts';
import type { FoundRecord, KeyState, OlderContent, UpdateLayer } from './update-layer.ts';
import type { ValueRange } from './value-search.ts';

const STEP_RECORDS = 256;

/** Updates as sorted columns, deletes among them: what recovery has folded from the logs. */
export class BaseUpdates implements UpdateLayer {
  readonly highestLow: number;
  readonly highestHigh: number;
  readonly #base: Base;

  constructor(base: Base) {
    this.#base = base;
    this.highestLow = base.directory.highestLow;
    this.highestHigh = base.directory.highestHigh;
  }

  get memoryBytes(): number {
    return this.#base.memoryBytes;
  }

  stateOf(low: number, high: number): KeyState {
    const chunk = this.#base.chunkOf(low, high);
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
        if (!chunk.isDeleteAt(i)) chunk.addTo(sum, i);
        if (i % STEP_RECORDS === 0) yield;
      }
    }
  }

  lookUp(low: number, high: number): TableRecord | null | undefined {
    const chunk = this.#base.chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    if (chunk === undefined || index < 0) return undefined;
    return chunk.isDeleteAt(index) ? null : chunk.recordAt(index);
  }

  valueOfKey(low: number, high: number): bigint | undefined {
    return this.#base.valueOfKey(low, high);
  }

  *findValues(range: ValueRange): Generator<readonly FoundRecord[], void, undefined> {
    for (const chunk of this.#base.chunks()) {
      const indexes = new Uint32Array(chunk.recordCount);
      const count = chunk.findValues(range, indexes);
      const found: FoundRecord[] = [];
      for (const index of indexes.subarray(0, count)) {
        const low = chunk.keyLowAt(index);
        found.push({ low, high: chunk.keyHighAt(index), record: chunk.recordAt(index) });
      }
      yield found;
    }
  }

  cursors(seek: Seek): Cursor[] {
    return [new BaseCursor(this.#base, seek)];
  }
}
