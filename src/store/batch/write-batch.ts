import { copyBytes, isBytes } from '../../base/bytes.ts';
import { BatchTooLargeError } from '../../base/errors.ts';
import { MAX_BATCH_BYTES, ROW_HEADER_BYTES } from '../../base/limits.ts';
import { splitU64, u64Halves } from '../../base/u64.ts';
import { ConditionList } from './condition-list.ts';
import { demandsOf, type Condition, type Demand } from './condition.ts';
import { KeyspaceBatch, type KeyMapping } from './keyspace-batch.ts';
import { PackedBatch } from './packed-batch.ts';
import { FIRST_ROW_BUFFER_BYTES, makeRowBuffer, type BatchBuffer } from './batch-buffer.ts';
import { DATA_LENGTH, KEY_HIGH, KEY_LOW, VALUE_HIGH, VALUE_LOW } from '../../format/row.ts';

/**
 * The method by which a batch of another copy of this package is taken over. The number is raised
 * when what it returns changes.
 */
export const HAND_OVER: unique symbol = Symbol.for('lodestore.WriteBatch.2');

/** All that a batch holds. */
export interface HandedOver {
  /** In the record format, as it is at this call. */
  readonly rows: Uint8Array;
  /** What updates ask, by their index; one may ask several things. */
  readonly demands: readonly (readonly [index: number, demand: Demand])[];
}

/** What `clear` makes room for at most when the rows before are still being written. */
const LARGEST_KEPT_BYTES: number = 64 * 1024;
const NO_DATA = new Uint8Array(0);

/**
 * Updates that are applied atomically. Encodes them directly in the record format. It can be
 * changed and reused at any time, also while an `insertBatch` of it is pending: the store keeps the
 * rows that it was given. Within a batch the last update of a key wins.
 */
export class WriteBatch {
  #buffer: BatchBuffer = makeRowBuffer(FIRST_ROW_BUFFER_BYTES);
  #used = 0;
  #size = 0;
  /** Beside the rows: the log holds what was applied, not what was asked. */
  #conditions: ConditionList | undefined;

  /** Updates in the batch. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of its encoded rows: 20 per update plus the data. At most 32 MiB. */
  get byteLength(): number {
    return this.#used;
  }

  /**
   * Sets `key` to `value` and a copy of `data`. With a condition, the whole batch is applied only
   * if that holds of the key as it is before the batch.
   * @throws RangeError or TypeError for a key or value out of u64, value 0, data that is not bytes,
   *   a wrong condition; `BatchTooLargeError` when the batch would be over its limit. The batch is
   *   then as before.
   */
  put(
    key: bigint | number,
    value: bigint | number,
    data: Uint8Array = NO_DATA,
    condition?: Condition,
  ): this {
    if (condition !== undefined) return this.#putIf(condition, key, value, data);
    if (!isBytes(data)) throw new TypeError('data must be a Uint8Array');
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

  /** Of the update that was added last. */
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
   * Adds updates by keys of `keyspace`, without its prefix. One batch may change several keyspaces,
   * all or nothing. The result keeps no updates of its own: use it as long as the batch.
   * @throws TypeError for what is no keyspace
   */
  in(keyspace: KeyMapping): KeyspaceBatch {
    if (typeof (keyspace as Partial<KeyMapping> | null)?.toKey !== 'function') {
      throw new TypeError('in() takes a keyspace of a store');
    }
    return new KeyspaceBatch(this, keyspace);
  }

  /** Empties the batch. */
  clear(): this {
    const usedBytes = this.#used;
    this.#used = 0;
    this.#size = 0;
    // The next rows are likely to be about as long.
    if (this.#buffer.lentCount > 0) this.#replaceBuffer(Math.min(usedBytes, LARGEST_KEPT_BYTES));
    this.#conditions = undefined;
    return this;
  }

  /**
   * Writes the key that the last split left, and makes room for the rest of the row. Returns where
   * that begins.
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

  /** For another copy of this package. */
  static handOver(batch: WriteBatch): HandedOver {
    const { bytes, start } = batch.#buffer;
    const lent = batch.#conditions?.lend();
    const demands = Array.from({ length: lent?.count ?? 0 }, (_, at) => {
      return [lent!.indexAt(at), lent!.demandAt(at)] as const;
    });
    return { rows: bytes.subarray(start, start + batch.#used), demands };
  }

  /**
   * Lends the rows to the commit path: from now on, changes go to another buffer until all are
   * released.
   */
  static lend(batch: WriteBatch): PackedBatch {
    return new PackedBatch(batch.#buffer, batch.#used, batch.#size, batch.#conditions?.lend());
  }
}

Object.defineProperty(WriteBatch.prototype, HAND_OVER, {
  value(this: WriteBatch): HandedOver {
    return WriteBatch.handOver(this);
  },
});

function copyShort(target: Uint8Array, offset: number, data: Uint8Array): void {
  // A call into the runtime costs more than a short copy.
  if (data.length > 32) target.set(data, offset);
  else for (let i = 0; i < data.length; i++) target[offset + i] = data[i]!;
}
