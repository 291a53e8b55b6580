import type { ContentSum } from '../../format/content-sum.ts';
import { blockOf, viewOffset, type RowArena } from './arena.ts';
import { RowWalk, type Extents } from './extents.ts';
import { PositionList } from './position-list.ts';
import { addRow, subtractRow } from './row-sum.ts';
import { isDeleteRow, KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import type { OlderContent } from '../layer/update-layer.ts';

/** How far a delta's rows have been summed up. */
export interface ContentMark {
  /** Rows at this position and behind it came later. */
  readonly end: number;
  readonly replacedCount: number;
  readonly coveringCount: number;
}

/** Rows summed up between two chances to give way. */
const STEP_ROWS = 256;

/**
 * What a delta's rows add to the content hash and take from it. A commit notes only which records
 * its rows stand in the place of, 4 bytes each; they are hashed when somebody asks: hashing both at
 * each commit would cost as much again as the commit's own work on the table.
 */
export class DeltaContent {
  readonly #arena: RowArena;
  readonly #extents: Extents;
  /** Puts that later rows took the place of. */
  readonly #replaced: PositionList = new PositionList();
  /** First rows of keys that older layers hold. */
  readonly #covering: PositionList = new PositionList();

  constructor(arena: RowArena, extents: Extents) {
    this.#arena = arena;
    this.#extents = extents;
  }

  get memoryBytes(): number {
    return this.#replaced.memoryBytes + this.#covering.memoryBytes;
  }

  get replacedCount(): number {
    return this.#replaced.length;
  }

  get coveringCount(): number {
    return this.#covering.length;
  }

  /** A row stands in the place of the put at `previous`. */
  noteReplaced(previous: number): void {
    this.#replaced.append(previous);
  }

  /** The row at `position` stands in the place of an older layer's record. */
  noteCovering(position: number): void {
    this.#covering.append(position);
  }

  /** Forgets what has been noted since the mark: those rows are taken back. */
  rollBack(to: ContentMark): void {
    this.#replaced.truncate(to.replacedCount);
    this.#covering.truncate(to.coveringCount);
  }

  /** Adds the row at `position`, unless it is a delete. */
  add(sum: ContentSum, position: number): void {
    const view = this.#arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    if (!isDeleteRow(view, offset)) addRow(sum, view, offset);
  }

  /** Subtracts the put at `position`. */
  subtract(sum: ContentSum, position: number): void {
    subtractRow(sum, this.#arena.views[blockOf(position)]!, viewOffset(position));
  }

  /**
   * Brings `sum` from the content at one mark to that at a later one. `older` is what lies below,
   * at any moment before a merge takes this delta in. Yields every few hundred rows.
   */
  *sumBetween(
    sum: ContentSum,
    from: ContentMark,
    to: ContentMark,
    older: OlderContent,
  ): Generator<void, void, undefined> {
    const walk = new RowWalk(this.#arena, this.#extents, from.end, to.end);
    let rows = 0;
    for (let position = walk.next(); position >= 0; position = walk.next()) {
      this.add(sum, position);
      if (++rows % STEP_ROWS === 0) yield;
    }
    for (let i = from.replacedCount; i < to.replacedCount; i++) {
      this.subtract(sum, this.#replaced.at(i));
      if (i % STEP_ROWS === 0) yield;
    }
    for (let i = from.coveringCount; i < to.coveringCount; i++) {
      this.#subtractOlder(sum, this.#covering.at(i), older);
      if (i % STEP_ROWS === 0) yield;
    }
  }

  /**
   * Brings `sum` from the content of `older`, whatever a merge has put there, to that with this
   * delta's rows up to `to` above it. `isLatest` tells rows that no later one replaces. Yields
   * every few hundred rows.
   */
  *applyTo(
    sum: ContentSum,
    to: ContentMark,
    older: OlderContent,
    isLatest: (position: number) => boolean,
  ): Generator<void, void, undefined> {
    const walk = new RowWalk(this.#arena, this.#extents, 0, to.end);
    let rows = 0;
    for (let position = walk.next(); position >= 0; position = walk.next()) {
      if (isLatest(position)) {
        this.#subtractOlder(sum, position, older);
        this.add(sum, position);
      }
      if (++rows % STEP_ROWS === 0) yield;
    }
  }

  #subtractOlder(sum: ContentSum, position: number, older: OlderContent): void {
    const view = this.#arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    older.subtractFrom(
      sum,
      view.getUint32(offset + KEY_LOW, true),
      view.getUint32(offset + KEY_HIGH, true),
    );
  }
}
