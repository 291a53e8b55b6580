import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { finishSteps, type Steps } from '../base/steps.ts';
import type { GroupRows } from '../format/group-rows.ts';
import { partsOf, type KeyInterval } from '../format/range-row.ts';
import { DATA_LENGTH, isDeleteRow, KEY_HIGH, KEY_LOW } from '../format/row.ts';
import { PARTITIONS } from '../table/replayed/row-index.ts';
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
  type RowPiece,
} from './row-piece.ts';

/**
 * Superseded rows are dropped when this many bytes, and as many as all other rows, may be
 * superseded.
 */
export const SUPERSEDED_BYTES: number = 8 * 1024 * 1024;
/** A piece with this many blocks takes no more groups, because positions are bounded. */
const FULL_BLOCKS = 512;

/**
 * Collects the rows of a part of a log. Two MiB of a log can hold a gigabyte of rows of one key. So
 * superseded rows are dropped whenever more than {@link SUPERSEDED_BYTES} were added, and as many
 * bytes as were left the last time.
 */
export class PieceBuilder {
  readonly #buffers: RowBuffers;
  readonly #supersededBytes: number;
  #entries: EntryList = new EntryList();
  #rowBytes = 0;
  #nextDropBytes: number;
  readonly #pieces: RowPiece[] = [];

  constructor(expectedBytes: number, supersededBytes: number = SUPERSEDED_BYTES) {
    this.#buffers = new RowBuffers(expectedBytes);
    this.#supersededBytes = supersededBytes;
    this.#nextDropBytes = supersededBytes;
  }

  /** Copies the rows of a group. They must have been validated. */
  addGroup({ rows, hasIntervals }: Pick<GroupRows, 'rows' | 'hasIntervals'>): void {
    if (!hasIntervals) {
      this.add(rows);
      return;
    }
    for (const part of partsOf(rows)) {
      if (part.kind === 'rows') this.add(part.rows);
      else this.#addInterval(part.interval);
    }
  }

  /** Puts the row into a separate piece: rows before and after it must not be mixed. */
  #addInterval(interval: KeyInterval): void {
    if (this.#entries.count > 0) finishSteps(this.#cut());
    const starts = new Uint32Array(PARTITIONS + 1);
    const none = { buffers: [], entries: new Uint32Array(0), starts, rowCount: 0, rowBytes: 0 };
    this.#pieces.push({ ...none, interval });
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
    if (this.#entries.count > 0) yield* this.#cut();
    return this.#pieces;
  }

  *#cut(): Steps<void> {
    const { entries, starts } = yield* this.#entries.finish();
    this.#pieces.push({
      buffers: this.#buffers.take(),
      entries,
      starts,
      rowCount: this.#entries.count,
      rowBytes: this.#rowBytes,
    });
    this.#entries = new EntryList();
    this.#rowBytes = 0;
    this.#nextDropBytes = this.#supersededBytes;
  }

  /**
   * Moves the newest row of each key forward over superseded rows, if at least half of the bytes
   * are superseded.
   */
  #drop(): void {
    const { words, count, isAscending } = this.#entries;
    if (!isAscending) {
      const found = new NewestEntries();
      found.begin(count);
      found.take(words, 0, count);
      if (2 * found.supersededBytes >= this.#rowBytes) {
        this.#pack(found.newest.subarray(0, found.keyCount).sort());
      }
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
