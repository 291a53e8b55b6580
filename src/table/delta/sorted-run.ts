import { assert } from '../../base/assert.ts';
import { uncountedWords } from '../../base/uncounted-memory.ts';
import { blockOf, viewOffset, type RowArena } from './arena.ts';
import { RowWalk, type Extents } from './extents.ts';
import { sortSteps, type SortScratch } from './row-sort.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import type { UnsortedRows } from './unsorted-rows.ts';

/** Rows per block of a run whose rows were committed in key order. */
const BLOCK_BITS = 10;
const BLOCK_ROWS: number = 2 ** BLOCK_BITS;
/** Otherwise all rows of a run are in one block. */
const WHOLE_BITS = 30;
const WHOLE_MASK: number = 2 ** 30 - 1;

/** What the runs of a delta share. */
export interface RunSource {
  readonly arena: RowArena;
  readonly extents: Extents;
  readonly scratch: SortScratch;
  /** Takes back the key memory of a run that has been sorted. */
  readonly recycle: (rows: UnsortedRows) => void;
}

/** State of an unsorted run: its rows with their keys, and the sort if it has started. */
interface Unsorted {
  readonly rows: UnsortedRows;
  sort: Generator<void, Uint32Array, undefined> | undefined;
}

/**
 * Consecutive rows of a delta, in key order. If they were committed in that order, only every
 * 1024th position is kept, and the positions between are read from the rows on demand.
 */
export class SortedRun {
  /** Number of rows of the delta before this run. */
  readonly firstRow: number;
  readonly rowCount: number;
  readonly #source: RunSource;
  #unsorted: Unsorted | undefined;
  /** Positions in key order. Undefined for blocks that were not read yet. */
  #blocks: (Uint32Array | undefined)[] = [];
  #blockBits = WHOLE_BITS;
  #blockMask = WHOLE_MASK;
  /** Position of the first row of each block that is read on demand. */
  #blockStarts: Uint32Array = new Uint32Array(0);
  /** First and last key. Valid when the run is sorted. */
  lowestLow = 0;
  lowestHigh = 0;
  highestLow = 0;
  highestHigh = 0;

  constructor(source: RunSource, firstRow: number, rows: UnsortedRows) {
    assert(rows.count > 0, 'a run holds a row');
    this.#source = source;
    this.firstRow = firstRow;
    this.rowCount = rows.count;
    this.#unsorted = { rows, sort: undefined };
  }

  get isSorted(): boolean {
    return this.#unsorted === undefined;
  }

  get memoryBytes(): number {
    let memoryBytes = this.#unsorted?.rows.memoryBytes ?? this.#blockStarts.byteLength;
    for (const block of this.#blocks) memoryBytes += block?.byteLength ?? 0;
    return memoryBytes;
  }

  /** Sorts for a fraction of a millisecond. Does nothing if the run is sorted. */
  step(): void {
    const unsorted = this.#unsorted;
    if (unsorted === undefined) return;
    const { rows, sort } = unsorted;
    if (sort === undefined) {
      if (rows.ascends()) this.#keepStarts(rows);
      else unsorted.sort = sortSteps(rows, this.#source.scratch);
      return;
    }
    const step = sort.next();
    if (step.done !== true) return;
    this.#blocks = [step.value];
    this.#finish(rows, step.value[0]!, step.value[rows.count - 1]!);
  }

  sort(): void {
    while (!this.isSorted) this.step();
  }

  /** Position of a row by its index in key order. Rows of one key are in commit order. */
  at(index: number): number {
    const ordinal = index >>> this.#blockBits;
    const block = this.#blocks[ordinal] ?? this.#walk(ordinal);
    return block[index & this.#blockMask]!;
  }

  #keepStarts(rows: UnsortedRows): void {
    this.#blockBits = BLOCK_BITS;
    this.#blockMask = BLOCK_ROWS - 1;
    this.#blockStarts = rows.everyPosition(BLOCK_ROWS);
    this.#blocks = Array.from(this.#blockStarts, () => undefined);
    this.#finish(rows, rows.positions[0]!, rows.positions[rows.count - 1]!);
  }

  #finish(rows: UnsortedRows, lowest: number, highest: number): void {
    const { views } = this.#source.arena;
    const first = views[blockOf(lowest)]!;
    this.lowestLow = first.getUint32(viewOffset(lowest) + KEY_LOW, true);
    this.lowestHigh = first.getUint32(viewOffset(lowest) + KEY_HIGH, true);
    const last = views[blockOf(highest)]!;
    this.highestLow = last.getUint32(viewOffset(highest) + KEY_LOW, true);
    this.highestHigh = last.getUint32(viewOffset(highest) + KEY_HIGH, true);
    this.#unsorted = undefined;
    this.#source.recycle(rows);
  }

  /** Reads the positions of a block. Its rows are published and are in key order in the arena. */
  #walk(ordinal: number): Uint32Array {
    assert(this.isSorted, 'a run is sorted before it is read');
    const { arena, extents } = this.#source;
    const block = uncountedWords(Math.min(BLOCK_ROWS, this.rowCount - ordinal * BLOCK_ROWS));
    const walk = new RowWalk(arena, extents, this.#blockStarts[ordinal]!, Infinity);
    for (let i = 0; i < block.length; i++) block[i] = walk.next();
    return (this.#blocks[ordinal] = block);
  }
}
