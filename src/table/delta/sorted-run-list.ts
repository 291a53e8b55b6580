import { assert } from '../../base/assert.ts';
import type { RowArena } from './arena.ts';
import type { Extents } from './extents.ts';
import { MOST_SORT_STEPS, MOST_SORTED_ROWS, SortScratch } from './row-sort.ts';
import { SortedRun, type RunSource } from './sorted-run.ts';
import type { TableSizes } from '../layer/table-sizes.ts';
import { UnsortedRows } from './unsorted-rows.ts';

/** Number of sort steps while a run fills. A run is sorted when a fifth of the next one is full. */
const SORT_STEPS = 64;
assert(5 * MOST_SORT_STEPS < SORT_STEPS, 'a run is sorted before the next one is full');

/** Runs that may wait to be sorted: a group may end the run before it, and fill one of its own. */
const MOST_WAITING_RUNS = 2;

/**
 * The rows of a delta in key order, for iterators, as runs of about `runRows` consecutive rows.
 * The code that indexes rows also adds them here and executes the steps that sort complete runs.
 * So when an iterator starts, at most {@link MOST_WAITING_RUNS} runs and the rest after them
 * remain to be sorted, regardless of the number of rows.
 *
 * Rows of a group that is being published are in separate, hidden runs, because the positions of
 * an undone group are reused. When the rest and the hidden rows together fill a run, the rest
 * becomes a run without them: it is sorted while the group's other rows are indexed, so that a
 * large group leaves no run unsorted. Less than a piece does not, because groups that fail would
 * leave a tiny run each.
 */
export class SortedRuns {
  readonly #sizes: TableSizes;
  readonly #source: RunSource;
  /** Pieces need their own scratch memory, because the sort of a run may be in progress. */
  readonly #pieceSource: RunSource;
  /** Published rows, in commit order. */
  readonly #runs: SortedRun[] = [];
  /** Published rows after the last run. */
  #rest: UnsortedRows = new UnsortedRows();
  #rowsInRuns = 0;
  /** The sorted pieces of the rest, as far as iterators have needed it. */
  #pieces: SortedRun[] = [];
  /** Rows of the group that is being published. */
  #hiddenRuns: SortedRun[] = [];
  #hiddenRest: UnsortedRows = new UnsortedRows();
  /** Complete runs that are not sorted yet. */
  #waiting: SortedRun[] = [];
  #spare: UnsortedRows | undefined;
  /** Rows added since the last step. */
  #sinceStep = 0;

  constructor(arena: RowArena, extents: Extents, sizes: TableSizes) {
    this.#sizes = sizes;
    assert(sizes.runRows + sizes.pieceRows <= MOST_SORTED_ROWS, 'a run can be sorted');
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

  /** Adds an indexed row of the group that is being published. Rows must come in commit order. */
  note(low: number, high: number, position: number): void {
    const { runRows, pieceRows } = this.#sizes;
    const restRows = this.#rest.count;
    this.#hiddenRest.append(low, high, position);
    if (restRows >= pieceRows && restRows + this.#hiddenRest.count >= runRows) this.#sealRest();
    if (this.#hiddenRest.count === runRows) this.#sealHidden();
  }

  /** Executes the sort steps that are due after `rows` added rows. */
  work(rows: number): void {
    const stepRows = Math.max(1, Math.floor(this.#sizes.runRows / SORT_STEPS));
    this.#sinceStep += rows;
    for (; this.#sinceStep >= stepRows; this.#sinceStep -= stepRows) this.#sortStep();
  }

  /** Publishes the rows added since the last call. */
  publish(): void {
    if (this.#hiddenRuns.length === 0 && this.#rest.count > 0) {
      this.#rest.appendFrom(this.#hiddenRest, 0, this.#hiddenRest.count);
      this.#hiddenRest.count = 0;
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

  /** Removes the rows added since the last `publish`. */
  abandon(): void {
    const hidden = this.#hiddenRuns;
    this.#waiting = this.#waiting.filter((run) => !hidden.includes(run));
    this.#hiddenRuns = [];
    this.#hiddenRest.count = 0;
  }

  /**
   * Sorted runs that together have the first `rowCount` rows, newest run first. They may also have
   * later rows.
   */
  covering(rowCount: number): SortedRun[] {
    // The scratch memory serves one sort at a time, so runs are sorted in the order in which they
    // wait.
    const last = this.#waiting.findLastIndex(({ firstRow }) => firstRow < rowCount);
    for (const run of this.#waiting.slice(0, last + 1)) run.sort();
    const restRows = rowCount - this.#rowsInRuns;
    while (this.#piecedRows < restRows) this.#addPiece();
    const runs = [...this.#runs, ...this.#pieces].filter(({ firstRow }) => firstRow < rowCount);
    return runs.toReversed();
  }

  /** Sorts one step or one piece. Returns false if all complete runs and pieces are sorted. */
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

  /** Sorts the next piece. If the last piece was not full, it is sorted again. */
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
