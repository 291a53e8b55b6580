/**
 * A broken invariant of the store itself: a bug, not an error of the user's input or of the disk.
 */
export class InvariantError extends Error {
  override readonly name: string = 'InvariantError';
}

/**
 * Throws {@link InvariantError} unless `condition` is true. `invariant` states the invariant as a
 * sentence.
 */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${invariant}`);
}

/** Returns `value`, which must be present according to `invariant`. */
export function present<T>(value: T | undefined | null, invariant: string): T {
  if (value === undefined || value === null) {
    throw new InvariantError(`invariant broken: ${invariant}`);
  }
  return value;
}
