/** A broken invariant of the store itself: a bug, never the user's input and never the disk's. */
export class InvariantError extends Error {
  override readonly name: string = 'InvariantError';
}

/**
 * Throws {@link InvariantError} unless `condition` holds. `invariant` says what must hold, as a
 * sentence.
 */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${invariant}`);
}

/** Returns `value`, which an invariant promises to be present. */
export function present<T>(value: T | undefined | null, invariant: string): T {
  if (value === undefined || value === null) {
    throw new InvariantError(`invariant broken: ${invariant}`);
  }
  return value;
}
