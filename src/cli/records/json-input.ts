import { InputError } from './input-error.ts';
import type { InputLine } from './input-lines.ts';
import { parseData, parseU64, parseValue, type InputRecord } from './record-input.ts';

const FIELDS = new Set(['key', 'value', 'data', 'dataHex']);
const NO_DATA = new Uint8Array(0);

/**
 * Parses a line as `export` writes it: an object with `key` and `value`, each a string of decimal
 * digits or a safe integer, and optionally `data` in base64 or `dataHex`. Returns undefined for an
 * empty line. Refuses what `JSON.parse` resolves silently: a name that is there twice, and a number
 * that it rounds.
 *
 * @throws InputError
 */
export function parseJsonLine({ text, number }: InputLine): InputRecord | undefined {
  if (text.trim() === '') return undefined;
  const fields = parseObject(text, number);
  for (const name of Object.keys(fields)) {
    if (FIELDS.has(name)) continue;
    const known = [...FIELDS].join(', ');
    throw new InputError(number, `it has a field other than ${known}`);
  }
  const { key, value, data, dataHex } = fields;
  const record = {
    key: parseU64(digitsOf(key, 'key', number), 'key', number),
    value: parseValue(digitsOf(value, 'value', number), number),
    data: dataOf(data, dataHex, number),
  };
  requireUnique(text, fields, number);
  if (typeof key === 'number' || typeof value === 'number') requireExact(text, number);
  return record;
}

/**
 * The names and values that are left have no colon in them: each colon but one for each name
 * belongs to a name that a later one has replaced.
 */
function requireUnique(text: string, fields: object, line: number): void {
  let colons = 0;
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', at + 1)) colons++;
  if (colons !== Object.keys(fields).length) throw new InputError(line, 'it has a field twice');
}

/** A number with at most so many digits is not rounded to an integer that it is not. */
const EXACT_DIGITS = 15;

/** A fraction with many digits may have been rounded to an integer. Strings hold no colon here. */
function requireExact(text: string, line: number): void {
  for (const [, literal = ''] of text.matchAll(/:\s*(-?[0-9][0-9.eE+-]*)/g)) {
    const [mantissa = ''] = literal.split(/[eE]/);
    const digits = mantissa.replaceAll(/[-.]/g, '').replace(/^0+/, '');
    if (digits.length > EXACT_DIGITS && /[.eE]/.test(literal)) {
      throw new InputError(line, 'it has a number with more digits than can be read exactly');
    }
  }
}

function parseObject(text: string, line: number): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new InputError(line, 'it is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new InputError(line, 'it is not a JSON object');
  }
  return parsed as Record<string, unknown>;
}

function digitsOf(field: unknown, name: string, line: number): string {
  if (typeof field === 'string') return field;
  if (field === undefined) throw new InputError(line, `it has no ${name}`);
  if (typeof field !== 'number' || !Number.isSafeInteger(field)) {
    const why = 'a number above 2^53 would be rounded';
    throw new InputError(line, `${name} is neither a string of digits nor a safe integer: ${why}`);
  }
  return String(field);
}

function dataOf(base64: unknown, hex: unknown, line: number): Uint8Array {
  if (base64 !== undefined && hex !== undefined) {
    throw new InputError(line, 'it has both data and dataHex');
  }
  const text = base64 ?? hex;
  if (text === undefined) return NO_DATA;
  if (typeof text !== 'string') throw new InputError(line, 'its data is not a string');
  return parseData(text, hex === undefined ? 'base64' : 'hex', line);
}
