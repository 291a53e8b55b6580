import type { QueryPair } from './uri-text.ts';

/** The head of a request, as far as a signature covers it. */
export interface RequestHead {
  readonly method: string;
  /** Decoded, with the leading slash. */
  readonly path: string;
  /** As received. */
  readonly rawPath: string;
  readonly query: readonly QueryPair[];
  /** The bucket in the host name, if it is there; the path then has only the key. */
  readonly hostBucket?: string | undefined;
  /** Lower-case names; values of equal names joined by a comma. Received bytes as Latin-1. */
  readonly headers: ReadonlyMap<string, string>;
}

/** `undefined` if it is missing. */
export function queryValue(query: readonly QueryPair[], name: string): string | undefined {
  for (const [key, value] of query) if (key === name) return value;
  return undefined;
}
