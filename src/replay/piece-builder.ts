import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { finishSteps, type Steps } from '../base/steps.ts';
import type { GroupRows } from '../format/group-rows.ts';
import {
  IntervalList,
  IntervalSet,
  intervalOf,
  NO_INTERVALS,
  STEP_INTERVALS,
  type IntervalWords,
  type KeyInterval,
} from '../base/interval-set.ts';
import { partsOf } from '../format/range-row.ts';
import { DATA_LENGTH, isDeleteRow, KEY_HIGH, KEY_LOW, makeDeleteRow } from '../format/row.ts';
import { EntryList } from './entry-list.ts';
import { NewestEntries } from './newest-entries.ts';
import { RowBuffers, type RowBuffer } from './row-buffers.ts';
import {
  DELETE_FLAG,
  ENTRY_WORDS,
  HIGH,
  LENGTH,
  LENGTH_MASK,
  LOW,
  POSITION,
  STEP_ENTRIES,
  type RowPiece,
} from './row-piece.ts';

/**
 * Superseded rows are dropped when this many bytes, and as many as all other rows, may be
 * superseded.
 */
export const SUPERSEDED_BYTES: number = 8 * 1024 * 1024;
/** A piece with this many blocks takes no more groups, because positions are bounded. */
const FULL_BLOCKS = 512;
/** Deletes of this many intervals, and of as many as are left, are applied together. */
const INTERVALS_AT_ONCE = 65_536;

/** Deletes of intervals, oldest first, and the number of entries before each. */
class PlacedIntervals {
  readonly list: IntervalList = new IntervalList();
  readonly before: number[] = [];

  add(interval: KeyInterval, before: number): void {
    this.list.add(interval);
    this.before.push(before);
  }
}

/**
 * Collects the rows of a part of a log. Two MiB of a log can hold a gigabyte of rows of one key. So
 * superseded rows are dropped whenever more than {@link SUPERSEDED_BYTES} were added, and as many
 * bytes as were left the last time.
 *
 * The delete of an interval makes deletes of the rows before it that it covers, in place. So it
 * needs no memory, and the order of rows and intervals is settled within a piece.
 */
export class PieceBuilder {
  readonly #buffers: RowBuffers;
  readonly #supersededBytes: number;
  #entries: EntryList = new EntryList();
  #rowBytes = 0;
  /** Bytes of rows that are deletes now. */
  #freedBytes = 0;
  /** Not applied yet. */
  #waiting: PlacedIntervals = new PlacedIntervals();
  /** Applied to all rows of the piece. No two touch. */
  #intervals: IntervalWords = NO_INTERVALS;
  #nextDropBytes: number;
  readonly #pieces: RowPiece[] = [];

  constructor(expectedBytes: number, supersededBytes: number = SUPERSEDED_BYTES) {
    this.#buffers = new RowBuffers(expectedBytes);
    this.#supersededBytes = supersededBytes;
    this.#nextDropBytes = supersededBytes;
  }

  /**
   * Copies the rows of a group. They must have been validated. {@link settle} is to be run between
   * groups while {@link isDue}.
   */
  addGroup({ rows, hasIntervals }: Pick<GroupRows, 'rows' | 'hasIntervals'>): void {
    if (!hasIntervals) {
      this.add(rows);
      return;
    }
    for (const part of partsOf(rows)) {
      if (part.kind === 'rows') this.add(part.rows);
      else this.#waiting.add(part.interval, this.#entries.count);
    }
  }

  /** Whether so many deletes of intervals wait that their memory counts. */
  get isDue(): boolean {
    return this.#waiting.list.length >= INTERVALS_AT_ONCE + this.#intervals.length / 2;
  }

  /** Applies the deletes of intervals that wait. Nothing may be added meanwhile. */
  settle(): Steps<void> {
    return this.#applyIntervals();
  }

  /** Copies rows, none of which deletes an interval. */
  add(rows: Uint8Array): void {
    if (rows.length === 0) return;
    const buffer = this.#buffers.roomFor(rows.length);
    const from = buffer.usedBytes;
    buffer.bytes.set(rows, from);
    buffer.usedBytes = from + rows.length;
    this.#noteRows(buffer, from);
    this.#rowBytes += rows.length;
    if (this.#rowBytes >= this.#nextDropBytes) this.#drop();
    if (this.#buffers.blocks >= FULL_BLOCKS) finishSteps(this.#cut());
  }

  #noteRows({ view, position, usedBytes }: RowBuffer, from: number): void {
    const entries = this.#entries;
    for (let offset = from; offset < usedBytes;) {
      const length = ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
      const low = view.getUint32(offset + KEY_LOW, true);
      const high = view.getUint32(offset + KEY_HIGH, true);
      const flags = isDeleteRow(view, offset) ? DELETE_FLAG : 0;
      entries.append(low, high, position + offset, length + flags);
      offset += length;
    }
  }

  /**
   * Returns all rows, oldest piece first, usually in one piece. `add` must not be called
   * afterwards.
   */
  *finish(): Steps<RowPiece[]> {
    // Only if keys may repeat often.
    if (this.#rowBytes > this.#supersededBytes) this.#drop();
    yield* this.#applyIntervals();
    if (this.#entries.count > 0 || this.#intervals.length > 0) yield* this.#cut();
    return this.#pieces;
  }

  *#cut(): Steps<void> {
    yield* this.#applyIntervals();
    const { count } = this.#entries;
    const { entries, starts } = yield* this.#entries.finish();
    this.#pieces.push({
      buffers: this.#buffers.take(),
      entries,
      starts,
      rowCount: count,
      rowBytes: this.#rowBytes,
      intervals: this.#intervals,
    });
    this.#entries = new EntryList();
    this.#rowBytes = 0;
    this.#freedBytes = 0;
    this.#intervals = NO_INTERVALS;
    this.#nextDropBytes = this.#supersededBytes;
  }

  /** Goes from the newest row to the oldest, so that an interval is known before what it covers. */
  *#applyIntervals(): Steps<void> {
    const { list, before } = this.#waiting;
    if (list.length === 0) return;
    this.#waiting = new PlacedIntervals();
    const { words: waiting } = list;
    const set = yield* IntervalSet.forLists([waiting, this.#intervals]);
    const { words, count } = this.#entries;
    const buffers = this.#buffers.all;
    let [next, buffer] = [before.length - 1, buffers.length - 1];
    for (let i = count - 1; i >= 0; i--) {
      for (; next >= 0 && before[next]! > i; next--) {
        yield* set.addInSteps(intervalOf(waiting, next));
        if (next % STEP_INTERVALS === 0) yield;
      }
      if (i % STEP_ENTRIES === 0) yield;
      const at = ENTRY_WORDS * i;
      if (words[at + LENGTH]! >= DELETE_FLAG || !set.has(words[at + LOW]!, words[at + HIGH]!)) {
        continue;
      }
      while (buffers[buffer]!.position > words[at + POSITION]!) buffer--;
      const { view, position } = buffers[buffer]!;
      makeDeleteRow(view, words[at + POSITION]! - position);
      this.#freedBytes += words[at + LENGTH]! - ROW_HEADER_BYTES;
      words[at + LENGTH] = ROW_HEADER_BYTES + DELETE_FLAG;
    }
    // Those before all rows.
    yield* set.addList(waiting.subarray(0, 2 * (next + 1)));
    yield* set.addList(this.#intervals);
    this.#intervals = yield* set.sharedWords();
  }

  /**
   * Moves the newest row of each key forward over superseded rows, if at least half of the bytes
   * are superseded.
   */
  #drop(): void {
    finishSteps(this.#applyIntervals());
    const { words, count, isAscending } = this.#entries;
    const found = new NewestEntries();
    if (!isAscending) {
      found.begin(count);
      found.take(words, 0, count);
    }
    const unusedBytes = found.supersededBytes + this.#freedBytes;
    if (unusedBytes > 0 && 2 * unusedBytes >= this.#rowBytes) {
      const kept = isAscending
        ? Uint32Array.from({ length: count }, (_, i) => i)
        : found.newest.subarray(0, found.keyCount).sort();
      this.#pack(kept);
    }
    this.#nextDropBytes = this.#rowBytes + Math.max(this.#supersededBytes, this.#rowBytes);
  }

  /** `kept`: ordinals of entries, ascending. */
  #pack(kept: Uint32Array): void {
    const { words } = this.#entries;
    const packed = new EntryList();
    const target = new PackedBuffers(this.#buffers.all);
    for (const ordinal of kept) {
      const at = ENTRY_WORDS * ordinal;
      const length = words[at + LENGTH]!;
      const position = target.move(words[at + POSITION]!, length & LENGTH_MASK);
      packed.append(words[at + LOW]!, words[at + HIGH]!, position, length);
    }
    this.#buffers.keep(target.finish());
    this.#entries = packed;
    this.#rowBytes = target.movedBytes;
    this.#freedBytes = 0;
  }
}

/**
 * Packs rows into the buffers that they come from, in order. The write position never passes the
 * read position.
 */
class PackedBuffers {
  movedBytes = 0;
  readonly #buffers: readonly RowBuffer[];
  readonly #usedBytes: number[];
  #source = 0;
  #target = 0;

  constructor(buffers: readonly RowBuffer[]) {
    this.#buffers = buffers;
    this.#usedBytes = buffers.map(() => 0);
  }

  /** Returns the new position of the row. */
  move(position: number, lengthBytes: number): number {
    const buffers = this.#buffers;
    while (
      buffers[this.#source + 1] !== undefined &&
      position >= buffers[this.#source + 1]!.position
    ) {
      this.#source++;
    }
    const source = buffers[this.#source]!;
    let target = buffers[this.#target]!;
    while (
      target !== source &&
      this.#usedBytes[this.#target]! + lengthBytes > target.bytes.length
    ) {
      target = buffers[++this.#target]!;
    }
    const from = position - source.position;
    const to = this.#usedBytes[this.#target]!;
    target.bytes.set(source.bytes.subarray(from, from + lengthBytes), to);
    this.#usedBytes[this.#target] = to + lengthBytes;
    this.movedBytes += lengthBytes;
    return target.position + to;
  }

  /** Returns the number of buffers that hold rows. */
  finish(): number {
    for (const [i, buffer] of this.#buffers.entries()) buffer.usedBytes = this.#usedBytes[i]!;
    return this.#target + 1;
  }
}
