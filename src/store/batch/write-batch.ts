import { copyBytes, requireBytes } from '../../base/bytes.ts';
import { showJson } from '../../base/json-form.ts';
import { BatchTooLargeError } from '../../base/errors.ts';
import { MAX_BATCH_BYTES, ROW_HEADER_BYTES } from '../../base/limits.ts';
import { splitU64, u64Halves } from '../../base/u64.ts';
import { ConditionList } from './condition-list.ts';
import { demandsOf, type Condition, type Demand } from './condition.ts';
import { KeyspaceBatch, type KeyMapping } from './keyspace-batch.ts';
import { PackedBatch } from './packed-batch.ts';
import { FIRST_ROW_BUFFER_BYTES, makeRowBuffer, type BatchBuffer } from './batch-buffer.ts';
import { RANGE_DATA_BYTES, writeRangeRow } from '../../format/range-row.ts';
import { checkInterval, type BoundOptions } from '../../table/layer/key-range.ts';
import { DATA_LENGTH, KEY_HIGH, KEY_LOW, VALUE_HIGH, VALUE_LOW } from '../../format/row.ts';

/**
 * The method that hands over a batch to another copy of this package. Increment the number when its
 * result changes.
 */
export const HAND_OVER: unique symbol = Symbol.for('lodestore.WriteBatch.2');

/** The content of a batch. */
export interface HandedOver {
  /** In the record format, at the time of the call. */
  readonly rows: Uint8Array;
  /** Requirements by index of their update, which may have several. */
  readonly demands: readonly (readonly [index: number, demand: Demand])[];
}

/** Largest buffer that `clear` allocates while the previous rows are still being written. */
const LARGEST_KEPT_BYTES: number = 64 * 1024;
const NO_DATA = new Uint8Array(0);

/**
 * Updates that are applied atomically. They are encoded directly in the record format. A batch can
 * be changed and reused at any time, even while an `insertBatch` of it is pending: the store keeps
 * the rows that it was given. Within a batch the last update of a key wins.
 */
export class WriteBatch {
  #buffer: BatchBuffer = makeRowBuffer(FIRST_ROW_BUFFER_BYTES);
  #used = 0;
  #size = 0;
  /** Kept apart from the rows: the log holds the applied updates, without conditions. */
  #conditions: ConditionList | undefined;
  #hasIntervals = false;

  /** Number of updates in the batch. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of its encoded rows: 20 per update plus the data. At most 32 MiB. */
  get byteLength(): number {
    return this.#used;
  }

  /** What `JSON.stringify` and the console show: not the updates, only how many they are. */
  toJSON(): unknown {
    return { size: this.size, byteLength: this.byteLength };
  }

  /**
   * Sets `key` to `value` and a copy of `data`. With a condition, the whole batch is applied only
   * if the condition holds for the key before the batch.
   *
   * @throws RangeError or TypeError for a key or value out of u64, value 0, data that is not bytes,
   *   or a wrong condition; `BatchTooLargeError` if the batch would exceed its limit. The batch is
   *   then unchanged.
   */
  put(
    key: bigint | number,
    value: bigint | number,
    data: Uint8Array = NO_DATA,
    condition?: Condition,
  ): this {
    if (condition !== undefined) return this.#putIf(condition, key, value, data);
    requireBytes(data, 'data');
    splitU64(value, 'value');
    const valueLow = u64Halves[0]!;
    const valueHigh = u64Halves[1]!;
    if (valueLow === 0 && valueHigh === 0) throw new RangeError('value must not be 0');
    splitU64(key, 'key');
    const offset = this.#appendHeader(data.length);
    const { bytes, view } = this.#buffer;
    view.setUint32(offset + VALUE_LOW, valueLow, true);
    view.setUint32(offset + VALUE_HIGH, valueHigh, true);
    view.setUint32(offset + DATA_LENGTH, data.length, true);
    copyShort(bytes, offset + ROW_HEADER_BYTES, data);
    return this;
  }

  #putIf(
    condition: Condition,
    key: bigint | number,
    value: bigint | number,
    data: Uint8Array,
  ): this {
    const demands = demandsOf(condition, value);
    const rowOffset = this.#used;
    this.put(key, value, data);
    this.#addDemands(rowOffset, demands);
    return this;
  }

  /** Adds the requirements of the last update. */
  #addDemands(rowOffset: number, demands: readonly Demand[]): void {
    for (const demand of demands) {
      this.#conditions ??= new ConditionList();
      this.#conditions.add(this.#size - 1, rowOffset, demand);
    }
  }

  /** Removes `key`. The condition is as in `put`. Throws like `put`. */
  delete(key: bigint | number, condition?: Condition): this {
    if (condition !== undefined) return this.#deleteIf(condition, key);
    splitU64(key, 'key');
    const offset = this.#appendHeader(0);
    const { view } = this.#buffer;
    view.setUint32(offset + VALUE_LOW, 0, true);
    view.setUint32(offset + VALUE_HIGH, 0, true);
    view.setUint32(offset + DATA_LENGTH, 0, true);
    return this;
  }

  #deleteIf(condition: Condition, key: bigint | number): this {
    const demands = demandsOf(condition, undefined);
    const rowOffset = this.#used;
    this.delete(key);
    this.#addDemands(rowOffset, demands);
    return this;
  }

  /**
   * Removes all records of a range of keys, also those that this batch has put there before. It is
   * one update of 28 bytes, however many records that is. At least one bound must be given; bounds
   * that contradict each other add nothing.
   *
   * The store finds the records before it writes the batch, in slices; later batches wait for that,
   * about a second for a million records. Each record takes 20 bytes of memory and its place in an
   * index until the next merge. Directories in which ranges were deleted are refused by versions of
   * lodestore that have no `deleteRange`, until a merge.
   * @throws TypeError or RangeError that names the bound; `BatchTooLargeError`. The batch is then
   *   as before.
   */
  deleteRange(range: BoundOptions): this {
    const interval = checkInterval(range);
    if (interval.lowest > interval.highest) return this;
    splitU64(interval.lowest, 'key');
    const offset = this.#appendHeader(RANGE_DATA_BYTES);
    writeRangeRow(this.#buffer.view, offset, interval);
    this.#hasIntervals = true;
    return this;
  }

  /**
   * Returns an object that adds updates with keys of `keyspace`, without its prefix. One batch may
   * change several keyspaces atomically. The result adds to this batch and is valid as long as the
   * batch.
   *
   * @throws TypeError if it is not a keyspace
   */
  in(keyspace: KeyMapping): KeyspaceBatch {
    if (typeof (keyspace as Partial<KeyMapping> | null)?.toKey !== 'function') {
      throw new TypeError('in() needs a keyspace of a store');
    }
    return new KeyspaceBatch(this, keyspace);
  }

  /** Removes all updates. */
  clear(): this {
    const usedBytes = this.#used;
    this.#used = 0;
    this.#size = 0;
    // The next rows are expected to have a similar length.
    if (this.#buffer.lentCount > 0) this.#replaceBuffer(Math.min(usedBytes, LARGEST_KEPT_BYTES));
    this.#conditions = undefined;
    this.#hasIntervals = false;
    return this;
  }

  /**
   * Writes the key from `u64Halves` and allocates the rest of the row. Returns the offset of the
   * row.
   */
  #appendHeader(dataBytes: number): number {
    const keyLow = u64Halves[0]!;
    const keyHigh = u64Halves[1]!;
    const end = this.#used + ROW_HEADER_BYTES + dataBytes;
    if (end > MAX_BATCH_BYTES) throw new BatchTooLargeError(end, MAX_BATCH_BYTES);
    if (end > this.#buffer.lengthBytes || this.#buffer.lentCount > 0) {
      this.#replaceBuffer(Math.max(end, 2 * this.#buffer.lengthBytes));
    }
    const { start, view } = this.#buffer;
    const offset = start + this.#used;
    view.setUint32(offset + KEY_LOW, keyLow, true);
    view.setUint32(offset + KEY_HIGH, keyHigh, true);
    this.#used = end;
    this.#size++;
    return offset;
  }

  #replaceBuffer(capacityBytes: number): void {
    const old = this.#buffer;
    this.#buffer = makeRowBuffer(Math.min(capacityBytes, MAX_BATCH_BYTES));
    const { bytes, start } = this.#buffer;
    copyBytes(bytes, start, old.bytes, old.start, this.#used);
  }

  /** Hands over the content to another copy of this package. */
  static handOver(batch: WriteBatch): HandedOver {
    const { bytes, start } = batch.#buffer;
    const lent = batch.#conditions?.lend();
    const demands = Array.from({ length: lent?.count ?? 0 }, (_, at) => {
      return [lent!.indexAt(at), lent!.demandAt(at)] as const;
    });
    return { rows: bytes.subarray(start, start + batch.#used), demands };
  }

  /**
   * Lends the rows to the commit path. Later changes go to another buffer until all loans are
   * released.
   */
  static lend(batch: WriteBatch): PackedBatch {
    const conditions = batch.#conditions?.lend();
    return new PackedBatch(
      batch.#buffer,
      batch.#used,
      batch.#size,
      conditions,
      batch.#hasIntervals,
    );
  }
}

showJson(WriteBatch.prototype);

Object.defineProperty(WriteBatch.prototype, HAND_OVER, {
  value(this: WriteBatch): HandedOver {
    return WriteBatch.handOver(this);
  },
});

function copyShort(target: Uint8Array, offset: number, data: Uint8Array): void {
  // For short data, a loop is cheaper than a call of `set`.
  if (data.length > 32) target.set(data, offset);
  else for (let i = 0; i < data.length; i++) target[offset + i] = data[i]!;
}
