import { inspect } from 'node:util';
import { isBytes } from './bytes.ts';

/**
 * The JSON form of everything that the store returns: a bigint is a string of decimal digits,
 * because a number would lose digits of a u64; bytes are base64; an error is its name, message and
 * fields, with its cause. Other values stay as they are.
 */
export function jsonForm(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (isBytes(value)) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  }
  if (value instanceof Error) return errorForm(value);
  if (ArrayBuffer.isView(value)) return Array.from(value as BigUint64Array, jsonForm);
  if (Array.isArray(value)) return value.map((element) => jsonForm(element));
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function' && !FORMED.has(value)) {
    return (value as { toJSON: () => unknown }).toJSON();
  }
  return formOfFields(value, Object.keys(value));
}

/** The objects whose `toJSON` is that of `withJsonForm`. */
const FORMED = new WeakSet<object>();

/** Gives `value` a `toJSON` that is not enumerable, so that it can be given to `JSON.stringify`. */
export function withJsonForm<T extends object>(value: T): T {
  FORMED.add(value);
  return Object.defineProperty(value, 'toJSON', { value: () => jsonForm(value) });
}

/** Lets the console show the objects of a class by its `toJSON`. */
export function showJson(prototype: { toJSON(): unknown }): void {
  Object.defineProperty(prototype, inspect.custom, {
    value(this: { toJSON(): unknown }): string {
      return `${this.constructor.name} ${inspect(this.toJSON())}`;
    },
  });
}

/**
 * Makes fields of an error not enumerable: who spreads an error into an object, as loggers do, gets
 * one that can be given to `JSON.stringify`.
 */
export function hideFields(error: Error, names: readonly string[]): void {
  for (const name of names) Object.defineProperty(error, name, { enumerable: false });
}

/** The fields of an error in JSON form. `stack` is left out. */
export function errorForm(error: Error): unknown {
  const names = Object.getOwnPropertyNames(error).filter((name) => name !== 'stack');
  return formOfFields(error, ['name', ...names.filter((name) => name !== 'name')]);
}

function formOfFields(value: object, names: readonly string[]): Record<string, unknown> {
  const form: Record<string, unknown> = {};
  for (const name of names) form[name] = jsonForm((value as Record<string, unknown>)[name]);
  return form;
}
