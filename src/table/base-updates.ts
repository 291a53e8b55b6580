import type { Base } from './base.ts';
import { BaseCursor } from './base-cursor.ts';
import type { Cursor, Seek } from './cursor.ts';
import type { TableRecord } from './table-record.ts';
import type { KeyState, UpdateLayer } from './update-layer.ts';

/** Updates as sorted columns, deletes among them: what recovery has folded from the logs. */
export class BaseUpdates implements UpdateLayer {
  readonly highestLow: number;
  readonly highestHigh: number;
  readonly #base: Base;

  constructor(base: Base) {
    this.#base = base;
    const last = base.chunks.at(-1);
    this.highestLow = last === undefined ? 0 : last.lastLow;
    this.highestHigh = last === undefined ? 0 : last.lastHigh;
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

  lookUp(low: number, high: number): TableRecord | null | undefined {
    const chunk = this.#base.chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    if (chunk === undefined || index < 0) return undefined;
    return chunk.isDeleteAt(index) ? null : chunk.recordAt(index);
  }

  valueOfKey(low: number, high: number): bigint | undefined {
    return this.#base.valueOfKey(low, high);
  }

  cursors(seek: Seek): Cursor[] {
    return [new BaseCursor(this.#base, seek)];
  }
}
