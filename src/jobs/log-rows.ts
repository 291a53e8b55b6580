import { viewOf } from '../base/bytes.ts';
import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { ColumnsBuilder } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';
import { ENTRY_WORDS, sortEntries } from './row-entries.ts';

/** Each block is twice as long as the one before it, up to the largest: a log may hold one row or millions. */
const FIRST_BLOCK_BYTES: number = 16 * 1024;
const LARGEST_BLOCK_BYTES: number = 4 * 1024 * 1024;
const FIRST_CAPACITY_ROWS = 64;
/** Rows in key order lie anywhere in memory: looked at together first, they are waited for together. */
const AHEAD_ROWS = 64;

interface Block {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Collects the rows of a log and turns them into one run: ascending keys, the last update of each. */
export class LogRows {
  readonly #blocks: Block[] = [];
  #blockUsed = 0;
  #entries: Uint32Array = new Uint32Array(ENTRY_WORDS * FIRST_CAPACITY_ROWS);
  #count = 0;
  /** Whether no row's key is below that of the row before it: the usual case, and nothing is to be sorted. */
  #isAscending = true;
  #lastLow = 0;
  #lastHigh = 0;

  /** Copies the rows of a group, which have been checked. */
  add(rows: Uint8Array): void {
    let last = this.#blocks.at(-1);
    if (last === undefined || this.#blockUsed + rows.length > last.bytes.length) {
      const doubled = 2 * (last?.bytes.length ?? FIRST_BLOCK_BYTES / 2);
      const bytes = new Uint8Array(Math.max(Math.min(doubled, LARGEST_BLOCK_BYTES), rows.length));
      last = { bytes, view: viewOf(bytes) };
      this.#blocks.push(last);
      this.#blockUsed = 0;
    }
    last.bytes.set(rows, this.#blockUsed);
    const from = this.#blockUsed;
    this.#blockUsed += rows.length;
    this.#makeRoom(Math.floor(rows.length / ROW_HEADER_BYTES));
    this.#index(last.view, from, this.#blockUsed);
  }

  /** Notes key and place of every row in [from, to) of the last block. */
  #index(view: DataView, from: number, to: number): void {
    const entries = this.#entries;
    const block = this.#blocks.length - 1;
    let at = ENTRY_WORDS * this.#count;
    let lastLow = this.#lastLow;
    let lastHigh = this.#lastHigh;
    let isAscending = this.#isAscending;
    for (let offset = from; offset < to; at += ENTRY_WORDS) {
      const low = view.getUint32(offset, true);
      const high = view.getUint32(offset + 4, true);
      entries[at] = low;
      entries[at + 1] = high;
      entries[at + 2] = block;
      entries[at + 3] = offset;
      if (high < lastHigh || (high === lastHigh && low < lastLow)) isAscending = false;
      lastLow = low;
      lastHigh = high;
      offset += ROW_HEADER_BYTES + view.getUint32(offset + 16, true);
    }
    this.#count = at / ENTRY_WORDS;
    this.#lastLow = lastLow;
    this.#lastHigh = lastHigh;
    this.#isAscending = isAscending;
  }

  #makeRoom(rowCount: number): void {
    const neededWords = ENTRY_WORDS * (this.#count + rowCount);
    if (neededWords <= this.#entries.length) return;
    const grown = new Uint32Array(Math.max(2 * this.#entries.length, neededWords));
    grown.set(this.#entries.subarray(0, ENTRY_WORDS * this.#count));
    this.#entries = grown;
  }

  /** To be called once. */
  finish(): Columns[] {
    const run: Columns[] = [];
    const builder = new ColumnsBuilder();
    const entries = this.#isAscending ? this.#entries : sortEntries(this.#entries, this.#count);
    const end = ENTRY_WORDS * this.#count;
    const lengths = new Uint32Array(AHEAD_ROWS);
    for (let at = 0; at < end; at += ENTRY_WORDS) {
      const ahead = (at / ENTRY_WORDS) % AHEAD_ROWS;
      if (ahead === 0) this.#readLengths(entries, at, end, lengths);
      const keyLow = entries[at]!;
      const keyHigh = entries[at + 1]!;
      const next = at + ENTRY_WORDS;
      // Of equal keys the last one counts.
      if (next < end && entries[next] === keyLow && entries[next + 1] === keyHigh) continue;
      const { bytes, view } = this.#blocks[entries[at + 2]!]!;
      const offset = entries[at + 3]!;
      const dataLength = lengths[ahead]!;
      if (builder.isFullFor(dataLength)) run.push(builder.finish());
      builder.append(
        keyLow,
        keyHigh,
        view.getUint32(offset + 8, true),
        view.getUint32(offset + 12, true),
        bytes,
        offset + ROW_HEADER_BYTES,
        dataLength,
      );
    }
    if (builder.recordCount > 0) run.push(builder.finish());
    return run;
  }

  /** Data lengths of the rows of as many entries as `lengths` takes. */
  #readLengths(entries: Uint32Array, from: number, end: number, lengths: Uint32Array): void {
    const blocks = this.#blocks;
    const to = Math.min(end, from + ENTRY_WORDS * lengths.length);
    for (let at = from, i = 0; at < to; at += ENTRY_WORDS, i++) {
      lengths[i] = blocks[entries[at + 2]!]!.view.getUint32(entries[at + 3]! + 16, true);
    }
  }
}
