import type { RowArena } from './arena.ts';
import { RowScan, type Extents } from './extents.ts';
import { sortRows } from './row-sort.ts';

/** Rows of a full run: sorting one takes a few milliseconds. */
const RUN_ROWS = 65_536;
/** Rows of the pieces that the newest, growing part is sorted in. */
const PIECE_ROWS = 4_096;

/**
 * The rows of a delta in key order, as runs of positions; equal keys in commit order. Built when
 * somebody first iterates, and kept: each row is sorted at most three times, ascending ones never.
 */
export class SortedRuns {
  readonly #arena: RowArena;
  readonly #scan: RowScan;
  readonly #runs: Uint32Array[] = [];
  #pieces: Uint32Array[] = [];
  #scannedRows = 0;
  /** The rows behind the last piece, or as many as there were when it was sorted. */
  #rest: Uint32Array = new Uint32Array(0);

  constructor(arena: RowArena, extents: Extents) {
    this.#arena = arena;
    this.#scan = new RowScan(arena, extents);
  }

  get memoryBytes(): number {
    return (this.#scannedRows + this.#rest.length) * 4;
  }

  /** Runs that hold the first `rowCount` rows, newest run first. They may hold later rows as well. */
  covering(rowCount: number): Uint32Array[] {
    while (this.step(rowCount));
    this.#sortRest(rowCount);
    const runs = [...this.#runs, ...this.#pieces];
    if (this.#rest.length > 0) runs.push(this.#rest);
    return runs.toReversed();
  }

  /** Sorts one more run or piece of the first `rowCount` rows. False when none is left to sort. */
  step(rowCount: number): boolean {
    const left = rowCount - this.#scannedRows;
    if (this.#pieces.length === 0 && left >= RUN_ROWS) {
      this.#runs.push(this.#sortNext(RUN_ROWS));
      return true;
    }
    if (left < PIECE_ROWS) return false;
    this.#pieces.push(this.#sortNext(PIECE_ROWS));
    if (this.#pieces.length * PIECE_ROWS === RUN_ROWS) this.#joinPieces();
    return true;
  }

  #sortNext(rowCount: number): Uint32Array {
    this.#scannedRows += rowCount;
    this.#rest = new Uint32Array(0);
    return sortRows(this.#arena, this.#scan.take(rowCount));
  }

  #joinPieces(): void {
    const joined = new Uint32Array(RUN_ROWS);
    this.#pieces.forEach((piece, i) => joined.set(piece, i * PIECE_ROWS));
    this.#runs.push(sortRows(this.#arena, joined));
    this.#pieces = [];
  }

  #sortRest(rowCount: number): void {
    const left = rowCount - this.#scannedRows;
    if (left <= this.#rest.length) return;
    this.#rest = sortRows(this.#arena, this.#scan.clone().take(left));
  }
}
