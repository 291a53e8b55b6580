import { assert } from '../../base/assert.ts';
import type { RowArena } from './arena.ts';
import type { Extents } from './extents.ts';
import { MOST_SORT_STEPS, MOST_SORTED_ROWS, SortScratch } from './row-sort.ts';
import { SortedRun, type RunSource } from './sorted-run.ts';
import type { TableSizes } from '../layer/table-sizes.ts';
import { UnsortedRows } from './unsorted-rows.ts';

/** Steps in which a run is sorted while the rows of the next one come in. */
const SORT_STEPS = 16;
assert(MOST_SORT_STEPS < SORT_STEPS, 'a run is sorted before the next one is full');

/**
 * Runs that may wait to be sorted: a group that fills runs of its own ends the one before it early.
 */
const MOST_WAITING_RUNS = 2;

/**
 * The rows of a delta in key order, for iterators: runs of up to `runRows` consecutive rows.
 * Whoever indexes rows hands them in, and with them come the steps that sort the runs that are
 * full. So wherever an iterator begins, at most {@link MOST_WAITING_RUNS} runs and the rest behind
 * them are left to sort, however many rows there are.
 *
 * Rows of a group that is being published are kept apart, in runs of their own: positions of rows
 * that are taken back are given to others.
 */
export class SortedRuns {
  readonly #sizes: TableSizes;
  readonly #source: RunSource;
  /** Pieces are sorted while the sort of a run may have been begun. */
  readonly #pieceSource: RunSource;
  /** In commit order; their rows are published. */
  readonly #runs: SortedRun[] = [];
  /** Published rows behind the last run. */
  #rest: UnsortedRows = new UnsortedRows();
  #rowsInRuns = 0;
  /** The rest, in pieces, as far as an iterator has asked for it. */
  #pieces: SortedRun[] = [];
  /** Rows of the group that is being published. */
  #hiddenRuns: SortedRun[] = [];
  #hiddenRest: UnsortedRows = new UnsortedRows();
  /** Full runs that are not sorted yet. */
  #waiting: SortedRun[] = [];
  #spare: UnsortedRows | undefined;
  /** Rows handed in since the last step. */
  #sinceStep = 0;

  constructor(arena: RowArena, extents: Extents, sizes: TableSizes) {
    this.#sizes = sizes;
    assert(sizes.runRows <= MOST_SORTED_ROWS, 'a run can be sorted');
    const shared = { arena, extents };
    const scratch = new SortScratch();
    this.#source = { ...shared, scratch, recycle: (rows) => this.#recycle(rows) };
    this.#pieceSource = { ...shared, scratch: new SortScratch(), recycle: () => undefined };
  }

  get memoryBytes(): number {
    let memoryBytes = this.#rest.memoryBytes + this.#hiddenRest.memoryBytes;
    memoryBytes += this.#source.scratch.memoryBytes + (this.#spare?.memoryBytes ?? 0);
    for (const run of this.#runs) memoryBytes += run.memoryBytes;
    for (const run of this.#pieces) memoryBytes += run.memoryBytes;
    for (const run of this.#hiddenRuns) memoryBytes += run.memoryBytes;
    return memoryBytes;
  }

  /** A row of the group that is being published has been indexed. Rows come in commit order. */
  note(low: number, high: number, position: number): void {
    this.#hiddenRest.append(low, high, position);
    if (this.#hiddenRest.count === this.#sizes.runRows) this.#sealHidden();
  }

  /** Sorts on, as much as is due after `rows` rows have been noted. */
  work(rows: number): void {
    const stepRows = Math.max(1, Math.floor(this.#sizes.runRows / SORT_STEPS));
    this.#sinceStep += rows;
    for (; this.#sinceStep >= stepRows; this.#sinceStep -= stepRows) this.#sortStep();
  }

  /** The rows noted since the last call are published. */
  publish(): void {
    if (this.#hiddenRuns.length === 0) {
      this.#appendHidden();
      return;
    }
    if (this.#rest.count > 0) this.#sealRest();
    for (const run of this.#hiddenRuns) {
      this.#runs.push(run);
      this.#rowsInRuns += run.rowCount;
    }
    this.#hiddenRuns = [];
    const empty = this.#rest;
    this.#rest = this.#hiddenRest;
    this.#hiddenRest = empty;
    this.#pieces = [];
  }

  /** The rows noted since the last `publish` are taken back. */
  abandon(): void {
    const hidden = this.#hiddenRuns;
    this.#waiting = this.#waiting.filter((run) => !hidden.includes(run));
    this.#hiddenRuns = [];
    this.#hiddenRest.count = 0;
  }

  /**
   * Sorted runs that hold the first `rowCount` rows, newest run first. They may hold later rows as
   * well.
   */
  covering(rowCount: number): SortedRun[] {
    // One sort at a time has the scratch memory: those that wait before a run are sorted before it.
    const last = this.#waiting.findLastIndex(({ firstRow }) => firstRow < rowCount);
    for (const run of this.#waiting.slice(0, last + 1)) run.sort();
    const restRows = rowCount - this.#rowsInRuns;
    while (this.#piecedRows < restRows) this.#addPiece();
    const runs = [...this.#runs, ...this.#pieces].filter(({ firstRow }) => firstRow < rowCount);
    return runs.toReversed();
  }

  /** Sorts on, by a step or a piece. False when all runs and pieces that are full are sorted. */
  step(): boolean {
    if (this.#sortStep()) return true;
    if (this.#rest.count - this.#fullPieces() * this.#sizes.pieceRows < this.#sizes.pieceRows) {
      return false;
    }
    this.#addPiece();
    return true;
  }

  #fullPieces(): number {
    const last = this.#pieces.at(-1);
    const isFull = last === undefined || last.rowCount === this.#sizes.pieceRows;
    return this.#pieces.length - (isFull ? 0 : 1);
  }

  get #piecedRows(): number {
    const last = this.#pieces.at(-1);
    return last === undefined ? 0 : last.firstRow - this.#rowsInRuns + last.rowCount;
  }

  /** Sorts the next piece; the last one again, if it was not full. */
  #addPiece(): void {
    const { pieceRows } = this.#sizes;
    this.#pieces.length = this.#fullPieces();
    const from = this.#pieces.length * pieceRows;
    const rows = new UnsortedRows();
    rows.appendFrom(this.#rest, from, Math.min(from + pieceRows, this.#rest.count));
    const piece = new SortedRun(this.#pieceSource, this.#rowsInRuns + from, rows);
    piece.sort();
    this.#pieces.push(piece);
  }

  #sortStep(): boolean {
    const [run] = this.#waiting;
    if (run === undefined) return false;
    run.step();
    if (run.isSorted) this.#waiting.shift();
    return true;
  }

  #sealHidden(): void {
    const hiddenRows = this.#hiddenRuns.reduce((sum, { rowCount }) => sum + rowCount, 0);
    const firstRow = this.#rowsInRuns + this.#rest.count + hiddenRows;
    const run = new SortedRun(this.#source, firstRow, this.#hiddenRest);
    this.#hiddenRest = this.#takeSpare();
    this.#hiddenRuns.push(run);
    this.#await(run);
  }

  #sealRest(): void {
    const run = new SortedRun(this.#source, this.#rowsInRuns, this.#rest);
    this.#rest = this.#takeSpare();
    this.#runs.push(run);
    this.#rowsInRuns += run.rowCount;
    this.#pieces = [];
    this.#await(run);
  }

  /** Appends the hidden rest, which fills no run alone, to the published one. */
  #appendHidden(): void {
    const hidden = this.#hiddenRest;
    const room = this.#sizes.runRows - this.#rest.count;
    const fitting = Math.min(room, hidden.count);
    this.#rest.appendFrom(hidden, 0, fitting);
    if (fitting === room) {
      this.#sealRest();
      this.#rest.appendFrom(hidden, fitting, hidden.count);
    }
    hidden.count = 0;
  }

  #await(run: SortedRun): void {
    this.#waiting.push(run);
    while (this.#waiting.length > MOST_WAITING_RUNS) this.#sortStep();
  }

  #takeSpare(): UnsortedRows {
    const spare = this.#spare ?? new UnsortedRows();
    this.#spare = undefined;
    return spare;
  }

  #recycle(rows: UnsortedRows): void {
    rows.count = 0;
    this.#spare = rows;
  }
}
