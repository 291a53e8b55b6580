import { viewOf } from '../base/bytes.ts';
import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { ColumnsBuilder } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';
import { keyOrder } from './key-order.ts';

/** Each block is twice as long as the one before it, up to the largest: a log may hold one row or millions. */
const FIRST_BLOCK_BYTES: number = 16 * 1024;
const LARGEST_BLOCK_BYTES: number = 4 * 1024 * 1024;
const FIRST_CAPACITY_ROWS = 64;

interface Block {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Collects the rows of a log and turns them into one run: ascending keys, the last update of each. */
export class LogRows {
  readonly #blocks: Block[] = [];
  #blockUsed = 0;
  #keyLow: Uint32Array = new Uint32Array(FIRST_CAPACITY_ROWS);
  #keyHigh: Uint32Array = new Uint32Array(FIRST_CAPACITY_ROWS);
  /** Per row: number of its block and offset in it. */
  #rowBlock: Uint32Array = new Uint32Array(FIRST_CAPACITY_ROWS);
  #rowOffset: Uint32Array = new Uint32Array(FIRST_CAPACITY_ROWS);
  #count = 0;

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
    const end = this.#blockUsed + rows.length;
    const { view } = last;
    for (let offset = this.#blockUsed; offset < end;) {
      if (this.#count === this.#keyLow.length) this.#grow();
      this.#keyLow[this.#count] = view.getUint32(offset, true);
      this.#keyHigh[this.#count] = view.getUint32(offset + 4, true);
      this.#rowBlock[this.#count] = this.#blocks.length - 1;
      this.#rowOffset[this.#count] = offset;
      this.#count++;
      offset += ROW_HEADER_BYTES + view.getUint32(offset + 16, true);
    }
    this.#blockUsed = end;
  }

  #grow(): void {
    this.#keyLow = larger(this.#keyLow);
    this.#keyHigh = larger(this.#keyHigh);
    this.#rowBlock = larger(this.#rowBlock);
    this.#rowOffset = larger(this.#rowOffset);
  }

  finish(): Columns[] {
    const run: Columns[] = [];
    const builder = new ColumnsBuilder();
    const order = keyOrder(this.#keyLow, this.#keyHigh, this.#count);
    for (let i = 0; i < order.length; i++) {
      const row = order[i]!;
      const next = i + 1 < order.length ? order[i + 1]! : -1;
      const isSuperseded =
        next >= 0 &&
        this.#keyLow[next] === this.#keyLow[row] &&
        this.#keyHigh[next] === this.#keyHigh[row];
      if (isSuperseded) continue;
      const { bytes, view } = this.#blocks[this.#rowBlock[row]!]!;
      const offset = this.#rowOffset[row]!;
      const dataLength = view.getUint32(offset + 16, true);
      if (builder.isFullFor(dataLength)) run.push(builder.finish());
      builder.append(
        this.#keyLow[row]!,
        this.#keyHigh[row]!,
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
}

function larger(from: Uint32Array): Uint32Array {
  const to = new Uint32Array(2 * from.length);
  to.set(from);
  return to;
}
