import { readXml, type XmlElement } from '../../../examples/storage-node/src/s3/xml/xml-reader.ts';
import type { Answer } from '../support/signed-request.ts';

/** Headers that clients act on. Others are specific to the server, or vary from run to run. */
const HEADERS = [
  'content-type',
  'content-encoding',
  'content-range',
  'cache-control',
  'accept-ranges',
  'etag',
  'location',
  'x-amz-meta-colour',
  'x-amz-meta-size',
];
/** Elements whose text a server chooses, or that S3 does not specify. */
const OPEN_TEXT = new Set([
  'RequestId',
  'HostId',
  'Message',
  'LastModified',
  'UploadId',
  'ID',
  'DisplayName',
  'Location',
  'NextContinuationToken',
]);
/** Additional fields of errors are for people; clients read the code. */
const CODE_ALONE = 'Error';

function treeOf(element: XmlElement): unknown {
  const children = [...element.children].sort(([one], [other]) => (one < other ? -1 : 1));
  if (children.length === 0) return element.text;
  return Object.fromEntries(
    children.map(([name, list]) => [name, OPEN_TEXT.has(name) ? 'any' : list.map(treeOf)]),
  );
}

function contentOf({ body, headers }: Answer): unknown {
  const root = /^(?:<\?xml[^>]*>)?\s*<(\w+)/.exec(body)?.[1];
  if (!String(headers['content-type']).includes('xml') || root === undefined) return body;
  if (root === CODE_ALONE) return { Code: /<Code>(\w+)</.exec(body)?.[1] };
  return { [root]: treeOf(readXml(Buffer.from(body), root)) };
}

/** Differences between two responses to the same request, for people. */
export function differences(own: Answer, peer: Answer): string[] {
  const found: string[] = [];
  const compare = (what: string, one: unknown, other: unknown): void => {
    const [a, b] = [JSON.stringify(one) ?? 'none', JSON.stringify(other) ?? 'none'];
    if (a === b) return;
    // The text around the first difference.
    let at = 0;
    while (a[at] === b[at]) at++;
    found.push(`${what}: ${excerpt(a, at)}, s3rver ${excerpt(b, at)}`);
  };
  compare('status', own.status, peer.status);
  for (const name of HEADERS) {
    // The type of an empty response is meaningless.
    if (name === 'content-type' && (own.body === '' || peer.body === '')) continue;
    if (name === 'content-type' && own.body.startsWith('<?xml')) continue;
    compare(name, own.headers[name], peer.headers[name]);
  }
  compare('body', contentOf(own), contentOf(peer));
  return found;
}

function excerpt(text: string, at: number): string {
  const from = Math.max(0, at - 60);
  const piece = text.slice(from, at + 120);
  return `${from > 0 ? '…' : ''}${piece}${from + piece.length < text.length ? '…' : ''}`;
}
