import { ProtocolError } from '../base/protocol-error.ts';

const PLAIN = /^[A-Za-z0-9\-._~]*$/;
const PLAIN_PATH = /^[A-Za-z0-9\-._~/]*$/;

/** SigV4 encoding: everything except letters, digits and `-._~`, byte by byte, in upper case. */
export function uriEncode(text: string): string {
  if (PLAIN.test(text)) return text;
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** As `uriEncode`, but keeps the slashes of a path. */
export function uriEncodePath(path: string): string {
  if (PLAIN_PATH.test(path)) return path;
  return path.split('/').map(uriEncode).join('/');
}

/** @throws ProtocolError InvalidURI for invalid UTF-8 or an invalid escape. */
export function uriDecode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new ProtocolError('InvalidURI', undefined, { cause: error });
  }
}

export type QueryPair = readonly [name: string, value: string];

/** Decoded pairs in the received order. `+` is a space. */
export function parseQuery(query: string): QueryPair[] {
  if (query === '') return [];
  const pairs: QueryPair[] = [];
  for (const piece of query.split('&')) {
    if (piece === '') continue;
    const equals = piece.indexOf('=');
    const name = equals < 0 ? piece : piece.slice(0, equals);
    const value = equals < 0 ? '' : piece.slice(equals + 1);
    pairs.push([decodeQueryText(name), decodeQueryText(value)]);
  }
  return pairs;
}

function decodeQueryText(text: string): string {
  return uriDecode(text.includes('+') ? text.replaceAll('+', ' ') : text);
}
