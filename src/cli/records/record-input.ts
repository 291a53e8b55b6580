import { MAX_U64 } from '../../base/limits.ts';
import { InputError } from './input-error.ts';

/** A record that was read from text. */
export interface InputRecord {
  readonly key: bigint | number;
  readonly value: bigint | number;
  readonly data: Uint8Array;
}

/** Every number with this many digits is a safe integer. */
const SAFE_DIGITS = 15;

/**
 * Parses a u64 from decimal digits.
 *
 * @throws InputError that names the field
 */
export function parseU64(text: string, name: string, line: number): bigint | number {
  if (!/^[0-9]{1,20}$/.test(text)) {
    throw new InputError(line, `${name} is not an integer from 0 to ${MAX_U64} in decimal digits`);
  }
  if (text.length <= SAFE_DIGITS) return Number(text);
  const value = BigInt(text);
  if (value > MAX_U64) throw new InputError(line, `${name} is greater than ${MAX_U64}`);
  return value;
}

export function parseValue(text: string, line: number): bigint | number {
  const value = parseU64(text, 'value', line);
  if (value === 0 || value === 0n) throw new InputError(line, 'value is 0, which is not allowed');
  return value;
}

/** Decodes bytes. Rejects text with any invalid character. */
export function parseData(text: string, encoding: 'base64' | 'hex', line: number): Uint8Array {
  const bytes = Buffer.from(text, encoding);
  // `Buffer.from` takes the low byte of a character that is not hexadecimal for one that is.
  if (bytes.toString(encoding) !== (encoding === 'hex' ? text.toLowerCase() : text)) {
    const name = encoding === 'hex' ? 'dataHex is not hexadecimal' : 'data is not base64';
    throw new InputError(line, `${name}, or is not complete`);
  }
  return bytes;
}
