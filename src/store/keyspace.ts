import { jsonForm, showJson } from '../base/json-form.ts';
import { requireKnownFields, type FieldsOf } from '../base/fields.ts';
import { checkU64 } from '../base/u64.ts';
import { KeyPrefix } from '../table/layer/key-prefix.ts';
import { checkInterval, type BoundOptions } from '../table/layer/key-range.ts';
import { withOutcome } from './batch/batch-queue.ts';
import type { Condition } from './batch/condition.ts';
import type { Inserted, InsertOptions } from './batch/insert-options.ts';
import { RecordReads, type ReadSource } from './record-reads.ts';

/** The keys of a keyspace: those whose highest `bits` bits are `prefix`. */
export interface KeyspaceOptions {
  /** A non-negative integer below 2^bits. */
  readonly prefix: bigint | number;
  /** An integer from 1 to 63. Keys of the keyspace have 64 - `bits` bits. */
  readonly bits: number;
}

const KEYSPACE_FIELDS: FieldsOf<KeyspaceOptions> = { prefix: true, bits: true };
const MAX_PREFIX_BITS = 63;

/** @throws TypeError or RangeError that names the option */
export function checkKeyspace(options: KeyspaceOptions): KeyPrefix {
  requireKnownFields(options, KEYSPACE_FIELDS, 'options');
  const { bits } = options;
  if (typeof bits !== 'number') throw new TypeError(`bits must be a number; it is ${typeof bits}`);
  if (!Number.isSafeInteger(bits) || bits < 1 || bits > MAX_PREFIX_BITS) {
    throw new RangeError(`bits must be an integer from 1 to ${MAX_PREFIX_BITS}; it is ${bits}`);
  }
  const prefix = checkU64(options.prefix, 'prefix');
  if (prefix >> BigInt(bits) !== 0n) {
    throw new RangeError(`prefix must have at most ${bits} bits; it is ${prefix}`);
  }
  return new KeyPrefix(prefix, bits);
}

/** Reads of the keys with a prefix. Takes and returns keys without the prefix. */
export class ReadableKeyspace extends RecordReads {
  readonly #keys: KeyPrefix;

  constructor(source: ReadSource, keys: KeyPrefix) {
    super(source, keys);
    this.#keys = keys;
  }

  get prefix(): bigint {
    return this.#keys.prefix;
  }

  /** What `JSON.stringify` and the console show. */
  toJSON(): unknown {
    return jsonForm({ prefix: this.prefix, bits: this.bits });
  }

  /** Number of bits of the prefix. */
  get bits(): number {
    return this.#keys.bits;
  }

  /**
   * The full key of `key`, which the store, its change feed and its errors use.
   *
   * @throws TypeError or RangeError for a key that is not a u64 or has more than 64 - `bits` bits
   */
  toKey(key: bigint | number): bigint {
    return this.#keys.toFull(key);
  }

  /**
   * A range of keys as bounds of full keys. Bounds that contradict each other still do.
   * @throws TypeError or RangeError that names the bound; TypeError where no bound is given
   */
  toRange(range: BoundOptions): { readonly gte: bigint; readonly lte: bigint } {
    const { lowest, highest } = checkInterval(range, this.#keys);
    return lowest > highest ? { gte: 1n, lte: 0n } : { gte: lowest, lte: highest };
  }

  /**
   * The key in this keyspace of a full key. Undefined if the full key has another prefix.
   *
   * @throws TypeError or RangeError if `fullKey` is not a u64
   */
  fromKey(fullKey: bigint | number): bigint | undefined {
    const full = checkU64(fullKey, 'fullKey');
    return this.#keys.holds(full) ? this.#keys.toShort(full) : undefined;
  }
}

showJson(ReadableKeyspace.prototype);

/** Single updates, by full key. */
export interface SingleWrites {
  put(
    key: bigint | number,
    value: bigint | number,
    data?: Uint8Array,
    options?: InsertOptions & Condition,
  ): Promise<Inserted>;
  delete(key: bigint | number, options?: InsertOptions & Condition): Promise<Inserted>;
  deleteRange(range: BoundOptions, options?: InsertOptions): Promise<Inserted>;
}

/**
 * A view of a store's keys with a prefix; it has no files of its own. Takes and returns keys
 * without the prefix. Keyspaces may overlap.
 */
export class Keyspace extends ReadableKeyspace implements SingleWrites {
  readonly #writes: SingleWrites;

  constructor(source: ReadSource, keys: KeyPrefix, writes: SingleWrites) {
    super(source, keys);
    this.#writes = writes;
  }

  /** Like `MetadataStore.put`. A key with too many bits rejects with a RangeError. */
  put(
    key: bigint | number,
    value: bigint | number,
    data?: Uint8Array,
    options?: InsertOptions & Condition,
  ): Promise<Inserted> {
    return insertAs(
      () => this.toKey(key),
      (full) => this.#writes.put(full, value, data, options),
    );
  }

  /** Like `MetadataStore.delete`. A key with too many bits rejects with a RangeError. */
  delete(key: bigint | number, options?: InsertOptions & Condition): Promise<Inserted> {
    return insertAs(
      () => this.toKey(key),
      (full) => this.#writes.delete(full, options),
    );
  }

  /** As `MetadataStore.deleteRange`. A bound with too many bits rejects with a RangeError. */
  deleteRange(range: BoundOptions, options?: InsertOptions): Promise<Inserted> {
    return insertAs(
      () => this.toRange(range),
      (full) => this.#writes.deleteRange(full, options),
    );
  }
}

/** Rejects where `toFull` throws. */
function insertAs<T>(toFull: () => T, insert: (full: T) => Promise<Inserted>): Promise<Inserted> {
  let full: T;
  try {
    full = toFull();
  } catch (error) {
    return Promise.reject(withOutcome(error));
  }
  return insert(full);
}
