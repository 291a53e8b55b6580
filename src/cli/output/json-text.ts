/**
 * Formats a value as JSON. A bigint becomes a string of decimal digits, because a number would lose
 * digits of a u64. Undefined becomes null, so that all objects of a kind have the same fields.
 */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_name, field: unknown) => (typeof field === 'bigint' ? field.toString() : (field ?? null)),
    indent,
  );
}
