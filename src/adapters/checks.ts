import { isBytes } from '../base/bytes.ts';
import { checkU64 } from '../base/u64.ts';

const NAME = /^[A-Za-z0-9_-]{1,100}$/;

/**
 * Checks the name of a log, an election or a map.
 * @throws TypeError, RangeError
 */
export function checkName(name: unknown): string {
  if (typeof name !== 'string') throw new TypeError('name must be a string');
  if (NAME.test(name)) return name;
  throw new RangeError(
    `name must consist of 1 to 100 letters, digits, '-' and '_'; it is ${JSON.stringify(name)}`,
  );
}

/**
 * Checks a position of a log.
 * @throws TypeError, RangeError
 */
export function checkPosition(position: unknown, name: string): bigint {
  if (typeof position !== 'bigint') throw new TypeError(`${name} must be a bigint`);
  return checkU64(position, name);
}

/**
 * Checks an entry to append.
 * @throws TypeError, RangeError
 */
export function checkEntry(entry: unknown, maxEntryBytes: number): Uint8Array {
  if (!isBytes(entry)) throw new TypeError('entry must be a Uint8Array');
  if (entry.length >= 1 && entry.length <= maxEntryBytes) return entry;
  throw new RangeError(`entry must have 1 to ${maxEntryBytes} bytes; it has ${entry.length}`);
}

/**
 * Checks a number of milliseconds. Returns `fallback` for undefined.
 * @throws TypeError, RangeError
 */
export function checkMilliseconds(value: unknown, name: string, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number') throw new TypeError(`options.${name} must be a number`);
  if (Number.isInteger(value) && value >= 100 && value <= 3_600_000) return value;
  throw new RangeError(`options.${name} must be an integer from 100 to 3,600,000`);
}

/**
 * Checks a list of addresses.
 * @throws TypeError
 */
export function checkAddresses(value: unknown, name: string): readonly string[] {
  const isList = Array.isArray(value) && value.length > 0;
  if (isList && value.every((one) => typeof one === 'string')) return value;
  throw new TypeError(`options.${name} must be an array of at least one string`);
}
