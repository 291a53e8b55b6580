import { jsonForm } from '../../base/json-form.ts';

/**
 * Formats a value as JSON, in the form of `jsonForm`. Undefined becomes null, so that all objects
 * of a kind have the same fields.
 */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(jsonForm(value), (_name, field: unknown) => field ?? null, indent);
}
