import type { ContentSum } from '../../format/content-sum.ts';
import { VALUE_HIGH, VALUE_LOW } from '../../format/row.ts';
import { blockOf, viewOffset } from '../delta/arena.ts';
import { countRow } from '../delta/row-sum.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import type { TableRecord } from '../layer/table-record.ts';
import {
  NO_RECORD,
  UNKNOWN_KEY,
  type DataLength,
  type FoundRecord,
  type KeyState,
  type OlderContent,
  type UpdateLayer,
} from '../layer/update-layer.ts';
import { U64Filter, type ValueRange } from '../layer/value-search.ts';
import { DELETE_BIT, KeyOrder, PLACE_WORDS } from './key-order.ts';
import { OrderCursor } from './order-cursor.ts';
import { RowBlocks } from './row-blocks.ts';
import { RowIndex, type RowIndexParts } from './row-index.ts';
import { RunIndex } from './run-index.ts';

/** Rows scanned between two yields. */
const STEP_ROWS = 256;

/**
 * The result of replaying logs, made on any thread: rows as they were committed, and an index to
 * the newest row of each key.
 */
export interface ReplayedParts extends Pick<RowIndexParts, 'buffers'> {
  /** As in {@link RowIndexParts}. Undefined: keys are found by `order`. */
  readonly slots: RowIndexParts['slots'] | undefined;
  /** Places of the newest rows of all keys, at least one, in key order. */
  readonly order: readonly Uint32Array[];
  /** Bytes of the newest rows that are not deletes. */
  readonly currentBytes: number;
  /** Bytes of all other rows. */
  readonly deadBytes: number;
  /** Number of records of older layers that the rows replace or delete. */
  readonly shadowedRecords: number;
}

/** Updates that recovery has read from logs. Immutable; the next merge takes them in. */
export class ReplayedRows implements UpdateLayer {
  readonly currentBytes: number;
  readonly deadBytes: number;
  readonly shadowedRecords: number;
  readonly highestLow: number;
  readonly highestHigh: number;
  readonly #index: RowIndex | RunIndex;
  readonly #blocks: RowBlocks;
  readonly #order: KeyOrder;
  readonly #blockBytes: number;
  readonly #lowestLow: number;
  readonly #lowestHigh: number;

  constructor(parts: ReplayedParts) {
    const { buffers, slots } = parts;
    this.#blocks = new RowBlocks(buffers);
    this.#order = new KeyOrder(parts.order);
    this.#index =
      slots === undefined ? new RunIndex(this.#order) : new RowIndex(this.#blocks, slots);
    this.#blockBytes = parts.buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.currentBytes = parts.currentBytes;
    this.deadBytes = parts.deadBytes;
    this.shadowedRecords = parts.shadowedRecords;
    [this.highestLow, this.highestHigh] = this.#order.highest;
    [this.#lowestLow, this.#lowestHigh] = this.#order.lowest;
  }

  get memoryBytes(): number {
    return this.#blockBytes + this.#index.memoryBytes + this.#order.memoryBytes;
  }

  stateOf(low: number, high: number): KeyState {
    const position = this.#find(low, high);
    if (position < 0) return 'unknown';
    return this.#blocks.isDelete(position) ? 'deleted' : 'present';
  }

  subtractFrom(sum: ContentSum, low: number, high: number): KeyState {
    const position = this.#find(low, high);
    if (position < 0) return 'unknown';
    if (this.#blocks.isDelete(position)) return 'deleted';
    countRow(sum, -1, this.#blocks.views[blockOf(position)]!, viewOffset(position));
    return 'present';
  }

  *applyTo(sum: ContentSum, older: OlderContent): Generator<void, void, undefined> {
    let rows = 0;
    for (const places of this.#order.parts) {
      for (let at = 0; at < places.length; at += PLACE_WORDS) {
        older.subtractFrom(sum, places[at]!, places[at + 1]!);
        const position = places[at + 2]!;
        if (position < DELETE_BIT) {
          countRow(sum, 1, this.#blocks.views[blockOf(position)]!, viewOffset(position));
        }
        if (++rows % STEP_ROWS === 0) yield;
      }
    }
  }

  lookUp(low: number, high: number): TableRecord | null | undefined {
    const position = this.#find(low, high);
    if (position < 0) return undefined;
    return this.#blocks.isDelete(position) ? null : this.#blocks.recordAt(position);
  }

  readValue(low: number, high: number, target: Uint32Array, at: number): boolean {
    const position = this.#find(low, high);
    if (position < 0) return false;
    this.#blocks.readValue(position, target, at);
    return true;
  }

  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength {
    const position = this.#find(low, high);
    if (position < 0) return UNKNOWN_KEY;
    if (this.#blocks.isDelete(position)) return NO_RECORD;
    return this.#blocks.readData(position, target, offset);
  }

  *findValues(
    range: ValueRange,
    keys: U64Filter | undefined,
  ): Generator<readonly FoundRecord[], void, undefined> {
    const filter = new U64Filter(range);
    let found: FoundRecord[] = [];
    let rows = 0;
    for (const places of this.#order.parts) {
      for (let at = 0; at < places.length; at += PLACE_WORDS) {
        const low = places[at]!;
        const high = places[at + 1]!;
        const position = places[at + 2]!;
        const isSought = position < DELETE_BIT && keys?.accepts(low, high) !== false;
        if (isSought && this.#isWanted(position, filter)) {
          found.push({ low, high, record: this.#blocks.recordAt(position) });
        }
        if (++rows % STEP_ROWS !== 0) continue;
        yield found;
        found = [];
      }
    }
    yield found;
  }

  cursors(seek: Seek): Cursor[] {
    return [new OrderCursor(this.#blocks, this.#order, seek)];
  }

  #isWanted(position: number, filter: U64Filter): boolean {
    const view = this.#blocks.views[blockOf(position)]!;
    const offset = viewOffset(position);
    const valueLow = view.getUint32(offset + VALUE_LOW, true);
    return filter.accepts(valueLow, view.getUint32(offset + VALUE_HIGH, true));
  }

  #find(low: number, high: number): number {
    if (high > this.highestHigh || (high === this.highestHigh && low > this.highestLow)) return -1;
    if (high < this.#lowestHigh || (high === this.#lowestHigh && low < this.#lowestLow)) return -1;
    return this.#index.find(low, high);
  }
}
