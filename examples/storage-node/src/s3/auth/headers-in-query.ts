import { ProtocolError } from '../base/protocol-error.ts';
import type { RequestHead } from './request-head.ts';

/** In lower case. These belong to a signature, and are read where it is verified. */
const OF_SIGNATURE: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-content-sha256',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-security-token',
  'x-amz-signature',
  'x-amz-signedheaders',
]);

const HEADER_NAME = /^x-amz-[a-z0-9!#$%&'*+.^_`|~-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

const CRC32_OF_NOTHING = 'AAAAAA==';

/** @throws ProtocolError InvalidArgument for two values of a name, and for what no header can be */
function add(headers: Map<string, string>, name: string, value: string): void {
  const former = headers.get(name);
  const isHeader = HEADER_NAME.test(name) && HEADER_VALUE.test(value);
  if (isHeader && (former === undefined || former === value)) {
    headers.set(name, value);
    return;
  }
  const problem = isHeader ? 'has two different values' : 'cannot be a header';
  throw new ProtocolError('InvalidArgument', `The parameter ${name} ${problem}`, {
    fields: { ArgumentName: name },
  });
}

/**
 * The AWS SDK for JavaScript has no body when it presigns a PUT. By default it then signs the CRC32
 * of an empty body into the link, which says nothing about the body that is sent later.
 */
function isOfNoBody(head: RequestHead, inQuery: ReadonlyMap<string, string>): boolean {
  return (
    head.method === 'PUT' &&
    inQuery.get('x-amz-sdk-checksum-algorithm')?.toUpperCase() === 'CRC32' &&
    inQuery.get('x-amz-checksum-crc32') === CRC32_OF_NOTHING
  );
}

/**
 * The headers of a request together with the `x-amz-` headers that its query has instead: the
 * signers of links move them there.
 *
 * @throws ProtocolError InvalidArgument
 */
export function joinedHeaders(head: RequestHead): ReadonlyMap<string, string> {
  const inQuery = new Map<string, string>();
  for (const [given, value] of head.query) {
    if (!/^x-amz-/i.test(given)) continue;
    const name = given.toLowerCase();
    // Headers are received as Latin-1, the query as UTF-8.
    if (!OF_SIGNATURE.has(name)) add(inQuery, name, Buffer.from(value).toString('latin1'));
  }
  if (inQuery.size === 0) return head.headers;
  if (isOfNoBody(head, inQuery)) inQuery.delete('x-amz-checksum-crc32');
  const joined = new Map(head.headers);
  for (const [name, value] of inQuery) add(joined, name, value);
  return joined;
}
