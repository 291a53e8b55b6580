/** Has every field of a type, so that the compiler detects a missing one. */
export type FieldsOf<T> = Readonly<Record<keyof T, true>>;

/** @throws TypeError that names the value, unless it is a boolean or undefined */
export function requireBoolean(value: unknown, name: string): void {
  if (value === undefined || typeof value === 'boolean') return;
  throw new TypeError(`${name} must be a boolean`);
}

/** @throws TypeError that names the value, unless it is an object with the method `method` */
export function requireMethod(
  value: unknown,
  method: string,
  { name, kind }: { readonly name: string; readonly kind: string },
): void {
  const held = (value as Partial<Record<string, unknown>> | null | undefined)?.[method];
  if (typeof held !== 'function') throw new TypeError(`${name} must be ${kind}`);
}

/** @throws TypeError that names the value, unless it is a function or undefined */
export function requireFunction(value: unknown, name: string): void {
  if (value === undefined || typeof value === 'function') return;
  throw new TypeError(`${name} must be a function`);
}

/**
 * For constructors that only the `open` of their class calls, with objects.
 *
 * @throws TypeError that says to call `open`
 */
export function requireOpening(first: unknown, className: string): void {
  if (typeof first === 'object' && first !== null) return;
  throw new TypeError(`${className} has no public constructor: await ${className}.open(directory)`);
}

/**
 * Throws a TypeError that names the first unknown field of `object`, own or inherited. Otherwise a
 * misspelt field would be silently ignored.
 */
export function requireKnownFields(
  object: unknown,
  known: Readonly<Record<string, true>>,
  what: string,
): void {
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    throw new TypeError(`${what} must be an object`);
  }
  for (const name in object) {
    if (Object.hasOwn(known, name)) continue;
    const names = Object.keys(known).join(', ');
    throw new TypeError(
      `${what} must not have a field ${JSON.stringify(name)}; known are ${names}`,
    );
  }
}
