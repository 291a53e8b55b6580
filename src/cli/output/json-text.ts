/**
 * JSON in which a bigint is a string of decimal digits, since no reader may lose digits of a u64,
 * and what is not known is null, so that every object of a kind has the same fields.
 */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_name, field: unknown) => (typeof field === 'bigint' ? field.toString() : (field ?? null)),
    indent,
  );
}
