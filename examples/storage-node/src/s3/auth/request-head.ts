import type { QueryPair } from './uri-text.ts';

/** What stands before the body of a request, as far as a signature covers it. */
export interface RequestHead {
  readonly method: string;
  /** Decoded, with the slash at its beginning. */
  readonly path: string;
  /** As it came. */
  readonly rawPath: string;
  readonly query: readonly QueryPair[];
  /**
   * Lower-case names; values of equal names joined by a comma. Bytes of the wire as Latin-1.
   */
  readonly headers: ReadonlyMap<string, string>;
}

/** `undefined` where there is none. */
export function queryValue(query: readonly QueryPair[], name: string): string | undefined {
  for (const [key, value] of query) if (key === name) return value;
  return undefined;
}
