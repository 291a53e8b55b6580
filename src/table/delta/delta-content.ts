import type { ContentSum } from '../../format/content-sum.ts';
import { blockOf, viewOffset, type RowArena } from './arena.ts';
import { RowWalk, type Extents } from './extents.ts';
import { PositionList } from './position-list.ts';
import { countRow } from './row-sum.ts';
import { isDeleteRow, KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import type { OlderContent } from '../layer/update-layer.ts';

/** The part of a delta's rows that is included in a content hash. */
export interface ContentMark {
  /** Rows from this position on are not included. */
  readonly end: number;
  readonly replacedCount: number;
  readonly coveringCount: number;
}

/** Rows summed between two yields. */
const STEP_ROWS = 256;

/**
 * The contribution of a delta's rows to the content hash. A commit only records which records its
 * rows replace, 4 bytes each. They are hashed on request, because hashing both at each commit would
 * double the time that a commit spends on the table.
 */
export class DeltaContent {
  readonly #arena: RowArena;
  readonly #extents: Extents;
  /** Positions of puts that later rows replaced. */
  readonly #replaced: PositionList = new PositionList();
  /** Positions of the first rows of keys that older layers hold. */
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

  /** Records that a row replaces the put at `previous`. */
  noteReplaced(previous: number): void {
    this.#replaced.append(previous);
  }

  /** Records that the row at `position` replaces a record of an older layer. */
  noteCovering(position: number): void {
    this.#covering.append(position);
  }

  /** Removes what was recorded since the mark: its rows are being undone. */
  rollBack(to: ContentMark): void {
    this.#replaced.truncate(to.replacedCount);
    this.#covering.truncate(to.coveringCount);
  }

  /** Adds the row at `position`, unless it is a delete. */
  add(sum: ContentSum, position: number): void {
    const view = this.#arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    if (!isDeleteRow(view, offset)) countRow(sum, 1, view, offset);
  }

  /** Subtracts the put at `position`. */
  subtract(sum: ContentSum, position: number): void {
    countRow(sum, -1, this.#arena.views[blockOf(position)]!, viewOffset(position));
  }

  /**
   * Advances `sum` from the content at one mark to that at a later one. `older`: the layers below,
   * at any time before a merge takes this delta in. Yields every few hundred rows.
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
   * Advances `sum` from the content of `older`, which may be that after a merge, to the content
   * with this delta's rows up to `to` on top. `isLatest`: whether no later row replaces the row at
   * a position. Yields every few hundred rows.
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
