import type { RequestHead } from '../../../examples/storage-node/src/s3/auth/request-head.ts';
import { parseQuery, uriDecode } from '../../../examples/storage-node/src/s3/auth/uri-text.ts';

/** A request head as a server parses it. */
export function requestHead(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
): RequestHead {
  const [rawPath = '', query = ''] = target.split(/\?(.*)/s);
  return {
    method,
    rawPath,
    path: uriDecode(rawPath),
    query: parseQuery(query),
    headers: new Map(Object.entries(headers)),
  };
}
