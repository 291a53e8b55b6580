import { expect } from 'vitest';

/**
 * Equal bytes are equal. Vitest compares them one number after another, 1 MiB in a second, and goes
 * on to do so where they differ, for its message.
 */
function areEqualBytes(one: unknown, other: unknown): true | undefined {
  if (!(one instanceof Uint8Array) || !(other instanceof Uint8Array)) return undefined;
  const isAlike = one.constructor === other.constructor && one.length === other.length;
  return isAlike && Buffer.compare(one, other) === 0 ? true : undefined;
}

/** Files that share a process run this again. */
const DONE = Symbol.for('lodestore.tests.equality');
const process = globalThis as { [DONE]?: true };
if (process[DONE] === undefined) expect.addEqualityTesters([areEqualBytes]);
process[DONE] = true;
