import type { Columns } from '../format/columns.ts';
import { RunCursor } from './run-cursor.ts';

/**
 * Merges runs, given oldest first. On top is the next key; among runs with that key, the newest
 * run.
 */
export class RunHeap {
  readonly #cursors: readonly RunCursor[];
  /**
   * Numbers of the cursors that have records left, except the top one. A higher number is a newer
   * run.
   */
  readonly #heap: Int32Array;
  #size = 0;
  /** -1 if no record is left. */
  #top = -1;

  constructor(runs: readonly (readonly Columns[])[]) {
    this.#cursors = runs.map((run) => new RunCursor(run));
    this.#heap = new Int32Array(runs.length);
    this.#cursors.forEach((cursor, number) => {
      if (!cursor.done) this.#heap[this.#size++] = number;
    });
    for (let i = this.#size >>> 1; i >= 0; i--) this.#siftDown(i);
    this.#takeTop();
  }

  /** The cursor at the next record. Undefined if none is left. */
  get top(): RunCursor | undefined {
    return this.#top < 0 ? undefined : this.#cursors[this.#top];
  }

  /**
   * Moves all other cursors past the top key. Returns the cursor with the next key, or undefined if
   * no other cursor has records left.
   */
  passOthers(): RunCursor | undefined {
    const { keyLow, keyHigh } = this.#cursors[this.#top]!;
    while (this.#size > 0) {
      const cursor = this.#cursors[this.#heap[0]!]!;
      if (cursor.keyLow !== keyLow || cursor.keyHigh !== keyHigh) return cursor;
      cursor.next();
      if (cursor.done) this.#heap[0] = this.#heap[--this.#size]!;
      this.#siftDown(0);
    }
    return undefined;
  }

  /** Restores the order after the top cursor was moved. */
  reorder(): void {
    if (this.#cursors[this.#top]!.done) this.#takeTop();
    else if (this.#size > 0 && this.#isBefore(this.#heap[0]!, this.#top)) {
      const moved = this.#top;
      this.#top = this.#heap[0]!;
      this.#heap[0] = moved;
      this.#siftDown(0);
    }
  }

  #takeTop(): void {
    this.#top = this.#size === 0 ? -1 : this.#heap[0]!;
    if (this.#size === 0) return;
    this.#heap[0] = this.#heap[--this.#size]!;
    this.#siftDown(0);
  }

  #siftDown(from: number): void {
    const heap = this.#heap;
    const size = this.#size;
    let parent = from;
    for (;;) {
      let first = 2 * parent + 1;
      if (first >= size) return;
      if (first + 1 < size && this.#isBefore(heap[first + 1]!, heap[first]!)) first++;
      const number = heap[parent]!;
      if (!this.#isBefore(heap[first]!, number)) return;
      heap[parent] = heap[first]!;
      heap[first] = number;
      parent = first;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const left = this.#cursors[one]!;
    const right = this.#cursors[other]!;
    if (left.keyHigh !== right.keyHigh) return left.keyHigh < right.keyHigh;
    if (left.keyLow !== right.keyLow) return left.keyLow < right.keyLow;
    return one > other;
  }
}
