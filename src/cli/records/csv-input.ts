import { InputError } from './input-error.ts';
import { countOf } from '../output/number-text.ts';
import type { InputLine } from './input-lines.ts';
import { parseData, parseU64, parseValue, type InputRecord } from './record-input.ts';

const NO_DATA = new Uint8Array(0);

/** Positions of the fields in a line. -1 if the field does not exist. */
interface Header {
  readonly fields: number;
  readonly key: number;
  readonly value: number;
  readonly data: number;
  readonly encoding: 'base64' | 'hex';
}

/**
 * Reads CSV by RFC 4180. The first line has the field names `key`, `value`, and optionally `data`
 * or `dataHex`, in any order. Each other line is a record. Fields may be quoted, but must not
 * contain line ends.
 */
export class CsvParser {
  #header: Header | undefined;

  /**
   * Returns the record of a line, or undefined for the first line and for empty lines. Throws
   * InputError.
   */
  parse({ text, number }: InputLine): InputRecord | undefined {
    if (this.#header === undefined) {
      this.#header = headerOf(splitFields(text, number), number);
      return undefined;
    }
    const header = this.#header;
    if (text === '') return undefined;
    const fields = splitFields(text, number);
    if (fields.length !== header.fields) {
      const expected = `${header.fields} as the first line has`;
      throw new InputError(number, `it has ${countOf(fields.length, 'field')}, not ${expected}`);
    }
    const { encoding } = header;
    return {
      key: parseU64(fields[header.key]!, 'key', number),
      value: parseValue(fields[header.value]!, number),
      data: header.data < 0 ? NO_DATA : parseData(fields[header.data]!, encoding, number),
    };
  }

  /** Throws InputError if there was no first line. */
  finish(): void {
    if (this.#header === undefined) throw noHeader(1);
  }
}

function noHeader(line: number): InputError {
  const wanted = 'key,value or key,value,data or key,value,dataHex';
  return new InputError(line, `the first line must name the fields: ${wanted}`);
}

function headerOf(names: readonly string[], line: number): Header {
  const known = ['key', 'value', 'data', 'dataHex'];
  const isKnown = names.every((name, i) => known.includes(name) && names.indexOf(name) === i);
  const hasBoth = names.includes('data') && names.includes('dataHex');
  if (!isKnown || hasBoth || !names.includes('key') || !names.includes('value')) {
    throw noHeader(line);
  }
  const encoding = names.includes('dataHex') ? 'hex' : 'base64';
  return {
    fields: names.length,
    key: names.indexOf('key'),
    value: names.indexOf('value'),
    data: names.indexOf(encoding === 'hex' ? 'dataHex' : 'data'),
    encoding,
  };
}

function splitFields(text: string, line: number): string[] {
  if (!text.includes('"')) return text.split(',');
  const fields: string[] = [];
  for (let at = 0; at <= text.length;) {
    const quoted = text[at] === '"';
    const match = quoted ? quotedField(text, at, line) : plainField(text, at, line);
    fields.push(match.field);
    at = match.end + 1;
  }
  return fields;
}

function plainField(text: string, from: number, line: number): { field: string; end: number } {
  const comma = text.indexOf(',', from);
  const end = comma < 0 ? text.length : comma;
  const field = text.slice(from, end);
  if (field.includes('"')) throw new InputError(line, 'a quote is inside a field without quotes');
  return { field, end };
}

function quotedField(text: string, from: number, line: number): { field: string; end: number } {
  let field = '';
  for (let at = from + 1; ;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw new InputError(line, 'a quoted field does not end');
    field += text.slice(at, quote);
    const next = text[quote + 1];
    if (next === undefined || next === ',') return { field, end: quote + 1 };
    if (next !== '"') throw new InputError(line, 'text follows a quoted field');
    field += '"';
    at = quote + 2;
  }
}
