import { types } from 'node:util';
import { requireBytes } from '../base/bytes.ts';
import { requireBoolean, requireKnownFields, type FieldsOf } from '../base/fields.ts';
import { joinedHalves, u64Halves } from '../base/u64.ts';
import type { KeyPrefix } from '../table/layer/key-prefix.ts';
import type { TableRecord } from '../table/layer/table-record.ts';
import { NO_RECORD } from '../table/layer/update-layer.ts';
import type { Records } from '../table/view.ts';

export interface GetManyOptions {
  /** Array for the values, as long as `keys`; may be `keys` itself. Default: a new array. */
  readonly into?: BigUint64Array | undefined;
  /** Whether to return the data too. Default false. */
  readonly data?: boolean | undefined;
}

/** Records of many keys, in the order of the keys. */
export interface ManyRecords {
  /** 0 for a key without a record. */
  readonly values: BigUint64Array;
  /** Copies of the data. Undefined for a key without a record. */
  readonly data: readonly (Uint8Array | undefined)[];
}

const GET_MANY_FIELDS: FieldsOf<GetManyOptions> = { into: true, data: true };

export function valueOf(
  records: Records,
  key: bigint | number,
  keys: KeyPrefix,
): bigint | undefined {
  keys.split(key);
  records.readValue(u64Halves[0]!, u64Halves[1]!, u64Halves, 0);
  const value = joinedHalves();
  return value === 0n ? undefined : value;
}

export function getInto(
  records: Records,
  key: bigint | number,
  keys: KeyPrefix,
  target: Uint8Array,
  offset: number,
): number | undefined {
  requireBytes(target, 'target');
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > target.length) {
    throw new RangeError(`offset must be an integer from 0 to ${target.length}; it is ${offset}`);
  }
  keys.split(key);
  const lengthBytes = records.readData(u64Halves[0]!, u64Halves[1]!, target, offset);
  if (lengthBytes === NO_RECORD) return undefined;
  const roomBytes = target.length - offset;
  if (lengthBytes <= roomBytes) return lengthBytes;
  throw new RangeError(
    `the data of key ${key} are ${lengthBytes} bytes; target has room for ${roomBytes}`,
  );
}

export function getMany(
  records: Records,
  sought: BigUint64Array,
  keys: KeyPrefix,
  options: GetManyOptions,
): BigUint64Array | ManyRecords {
  const words = wordsOf(sought, 'keys');
  const { into = new BigUint64Array(sought.length), data = false } = checkOptions(options);
  const valueWords = wordsOf(into, 'into');
  if (into.length !== sought.length) {
    throw new RangeError(`into must have ${sought.length} places; it has ${into.length}`);
  }
  // A value must not overwrite a key that is still to be read.
  const isShifted = into.buffer === sought.buffer && into.byteOffset !== sought.byteOffset;
  const keyWords = isShifted ? words.slice() : words;
  const found = data ? Array.from(sought, (key) => lookUp(records, key, keys)?.data) : undefined;
  for (let at = 0; at < keyWords.length; at += 2) {
    keys.splitHalves(keyWords[at]!, keyWords[at + 1]!);
    records.readValue(u64Halves[0]!, u64Halves[1]!, valueWords, at);
  }
  return found === undefined ? into : { values: into, data: found };
}

export function hasMany(records: Records, sought: BigUint64Array, keys: KeyPrefix): Uint8Array {
  const keyWords = wordsOf(sought, 'keys');
  const found = new Uint8Array(sought.length);
  for (let at = 0; at < keyWords.length; at += 2) {
    keys.splitHalves(keyWords[at]!, keyWords[at + 1]!);
    records.readValue(u64Halves[0]!, u64Halves[1]!, u64Halves, 0);
    if (u64Halves[0] !== 0 || u64Halves[1] !== 0) found[at / 2] = 1;
  }
  return found;
}

export function lookUp(
  records: Records,
  key: bigint | number,
  keys: KeyPrefix,
): TableRecord | undefined {
  keys.split(key);
  return records.lookUp(u64Halves[0]!, u64Halves[1]!);
}

function checkOptions(options: GetManyOptions): GetManyOptions {
  requireKnownFields(options, GET_MANY_FIELDS, 'options');
  requireBoolean(options.data, 'options.data');
  return options;
}

/** The halves of each element, low half first. */
function wordsOf(array: BigUint64Array, name: string): Uint32Array {
  if (!types.isBigUint64Array(array)) throw new TypeError(`${name} must be a BigUint64Array`);
  return new Uint32Array(array.buffer, array.byteOffset, 2 * array.length);
}
