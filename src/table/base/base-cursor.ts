import type { ContentSum } from '../../format/content-sum.ts';
import type { Base } from './base.ts';
import type { Chunk } from '../chunk/chunk.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import type { TableRecord } from '../layer/table-record.ts';

/** Iterates over the records of a base. */
export class BaseCursor implements Cursor {
  isDone = false;
  low = 0;
  high = 0;
  readonly #base: Base;
  readonly #step: 1 | -1;
  #ordinal: number;
  #chunk: Chunk | undefined;
  #index = 0;

  constructor(base: Base, seek: Seek) {
    this.#base = base;
    this.#step = seek.direction === 'up' ? 1 : -1;
    this.#ordinal = base.locate(seek.low, seek.high);
    // The sought key is below all keys.
    if (this.#ordinal < 0 && this.#step === 1) this.#ordinal = 0;
    const chunk = base.chunkAt(this.#ordinal);
    this.#chunk = chunk;
    if (chunk !== undefined) {
      this.#index = chunk.lowerBound(seek.low, seek.high);
      const isBeyond = this.#step === -1 && chunk.find(seek.low, seek.high) < 0;
      if (isBeyond) this.#index--;
    }
    this.#settle();
  }

  /** The chunk of the current record. `index` is the record's index in it. */
  get chunk(): Chunk {
    return this.#chunk!;
  }

  get index(): number {
    return this.#index;
  }

  /** Moves to `index` of the chunk, or to the next chunk if the index is past its end. */
  moveTo(index: number): void {
    this.#index = index;
    this.#settle();
  }

  get isDelete(): boolean {
    return this.#chunk!.isDeleteAt(this.#index);
  }

  advance(): void {
    this.#index += this.#step;
    this.#settle();
  }

  record(): TableRecord {
    return this.#chunk!.recordAt(this.#index);
  }

  addTo(sum: ContentSum): void {
    this.#chunk!.countRow(sum, 1, this.#index);
  }

  /** Moves to the neighbouring chunk if the index is outside its own. */
  #settle(): void {
    let chunk = this.#chunk;
    if (chunk !== undefined && (this.#index < 0 || this.#index >= chunk.recordCount)) {
      chunk = this.#base.chunkAt(this.#ordinal + this.#step);
      this.#ordinal += this.#step;
      this.#chunk = chunk;
      this.#index = this.#step === 1 || chunk === undefined ? 0 : chunk.recordCount - 1;
    }
    if (chunk === undefined) {
      this.isDone = true;
      return;
    }
    this.low = chunk.keyLowAt(this.#index);
    this.high = chunk.keyHighAt(this.#index);
  }
}
