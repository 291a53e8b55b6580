import type { Cursor } from '../layer/cursor.ts';

/**
 * Merges cursors. On top is the next key; among cursors at that key, the first in the given list.
 */
export class CursorHeap {
  readonly #cursors: Cursor[];
  /** Rank of each cursor: its index in the given list. */
  readonly #ranks: number[];
  readonly #isDescending: boolean;

  constructor(cursors: readonly Cursor[], direction: 'up' | 'down') {
    this.#isDescending = direction === 'down';
    this.#cursors = [];
    this.#ranks = [];
    cursors.forEach((cursor, rank) => {
      if (cursor.isDone) return;
      this.#cursors.push(cursor);
      this.#ranks.push(rank);
    });
    for (let i = this.#cursors.length >>> 1; i >= 0; i--) this.#siftDown(i);
  }

  get top(): Cursor | undefined {
    return this.#cursors[0];
  }

  /** The cursor that would be on top if the top one were removed. */
  get runnerUp(): Cursor | undefined {
    return this.#cursors.length > 2 && this.#isBefore(2, 1) ? this.#cursors[2] : this.#cursors[1];
  }

  /** Restores the order after the top cursor was moved. */
  settleTop(): void {
    if (this.#cursors[0]!.isDone) this.#removeTop();
    this.#siftDown(0);
  }

  /** Moves every cursor past the top key. */
  advance(): void {
    const top = this.#cursors[0]!;
    const { low, high } = top;
    let cursor: Cursor | undefined = top;
    while (cursor !== undefined && cursor.low === low && cursor.high === high) {
      cursor.advance();
      if (cursor.isDone) this.#removeTop();
      this.#siftDown(0);
      cursor = this.#cursors[0];
    }
  }

  #removeTop(): void {
    const cursor = this.#cursors.pop()!;
    const rank = this.#ranks.pop()!;
    if (this.#cursors.length === 0) return;
    this.#cursors[0] = cursor;
    this.#ranks[0] = rank;
  }

  #siftDown(from: number): void {
    const cursors = this.#cursors;
    let parent = from;
    for (;;) {
      let first = 2 * parent + 1;
      if (first >= cursors.length) return;
      if (first + 1 < cursors.length && this.#isBefore(first + 1, first)) first++;
      if (!this.#isBefore(first, parent)) return;
      this.#swap(first, parent);
      parent = first;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const left = this.#cursors[a]!;
    const right = this.#cursors[b]!;
    if (left.high !== right.high) return left.high < right.high !== this.#isDescending;
    if (left.low !== right.low) return left.low < right.low !== this.#isDescending;
    return this.#ranks[a]! < this.#ranks[b]!;
  }

  #swap(a: number, b: number): void {
    const cursor = this.#cursors[a]!;
    const rank = this.#ranks[a]!;
    this.#cursors[a] = this.#cursors[b]!;
    this.#ranks[a] = this.#ranks[b]!;
    this.#cursors[b] = cursor;
    this.#ranks[b] = rank;
  }
}
