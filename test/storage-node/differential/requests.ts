import { createHash } from 'node:crypto';
import type { SignedRequest } from '../support/signed-request.ts';

/** One request to both servers, in the order of the list. */
export interface Case extends SignedRequest {
  readonly name: string;
  /** Values from earlier responses: parts of targets and bodies that a server chose. */
  readonly with?: 'uploadId';
}

const B = '/differential';
const BIG = Buffer.alloc(5 * 2 ** 20, 'big ');
const md5 = (bytes: string | Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const BIG_ETAG = md5(BIG);
const TAIL_ETAG = md5('tail');
const COMPLETE =
  `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"${BIG_ETAG}"</ETag></Part>` +
  `<Part><PartNumber>2</PartNumber><ETag>"${TAIL_ETAG}"</ETag></Part></CompleteMultipartUpload>`;
const TAGS = '<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>';
const DELETE = '<Delete><Object><Key>a/1</Key></Object><Object><Key>none</Key></Object></Delete>';
const QUIET = '<Delete><Quiet>true</Quiet><Object><Key>a/2</Key></Object></Delete>';

function xml(body: string): Pick<SignedRequest, 'body' | 'headers'> {
  const digest = createHash('md5').update(body).digest('base64');
  return { body, headers: { 'content-md5': digest, 'content-type': 'application/xml' } };
}

const put = (key: string, body: string, headers: Record<string, string> = {}): Case => ({
  name: `put ${key}`,
  method: 'PUT',
  target: `${B}/${key}`,
  body,
  headers,
});
const get = (key: string, headers: Record<string, string> = {}, note = ''): Case => ({
  name: `get ${key}${note}`,
  method: 'GET',
  target: `${B}/${key}`,
  headers,
});
const bucket = (name: string, method: string, query: string): Case => ({
  name,
  method,
  target: `${B}${query}`,
});

export const CASES: readonly Case[] = [
  bucket('head of no bucket', 'HEAD', ''),
  bucket('list of no bucket', 'GET', '?list-type=2'),
  get('x', {}, ' of no bucket'),
  bucket('make bucket', 'PUT', ''),
  bucket('head', 'HEAD', ''),
  bucket('location', 'GET', '?location='),
  bucket('empty list', 'GET', ''),
  bucket('empty list, version 2', 'GET', '?list-type=2'),
  put('plain', 'hello', { 'content-type': 'text/plain', 'x-amz-meta-colour': 'blue' }),
  put('empty', ''),
  put('encoded', 'zipped', { 'content-encoding': 'gzip', 'cache-control': 'no-cache' }),
  put('with%20space%2Band%25', 'space'),
  get('plain'),
  { name: 'head plain', method: 'HEAD', target: `${B}/plain` },
  get('empty'),
  get('encoded'),
  get('with%20space%2Band%25'),
  get('none'),
  { name: 'head none', method: 'HEAD', target: `${B}/none` },
  get('plain', { range: 'bytes=1-2' }, ', range'),
  get('plain', { range: 'bytes=-2' }, ', suffix'),
  get('plain', { range: 'bytes=2-' }, ', open range'),
  get('plain', { range: 'bytes=9-12' }, ', range behind the end'),
  get('plain', { range: 'bytes=1-100' }, ', range over the end'),
  get('plain', { 'if-none-match': `"${md5('hello')}"` }, ', not modified'),
  get('plain', { 'if-match': '"0"' }, ', another ETag'),
  get('plain', { 'if-match': `"${md5('hello')}"` }, ', its ETag'),
  get('plain', { 'if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' }, ', not modified since'),
  get('plain', { 'if-unmodified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }, ', modified since'),
  get('plain?response-content-type=image%2Fpng', {}, ', another type'),
  put('wrong', 'x', { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }),
  put('short', 'x', { 'content-md5': 'AAAA' }),
  { name: 'delete wrong', method: 'DELETE', target: `${B}/wrong` },
  { name: 'delete short', method: 'DELETE', target: `${B}/short` },
  ...['a/1', 'a/2', 'a/b/3', 'b', 'ü'].map((key) => put(encodeURI(key), key)),
  bucket('list', 'GET', ''),
  bucket('list, version 2', 'GET', '?list-type=2'),
  bucket('list, prefix', 'GET', '?list-type=2&prefix=a%2F'),
  bucket('list, delimiter', 'GET', '?delimiter=%2F&list-type=2'),
  bucket('list, prefix and delimiter', 'GET', '?delimiter=%2F&list-type=2&prefix=a%2F'),
  bucket('list, version 1, delimiter, marker', 'GET', '?delimiter=%2F&marker=a%2F'),
  bucket('list, two keys', 'GET', '?max-keys=2'),
  bucket('list, two keys, version 2', 'GET', '?list-type=2&max-keys=2'),
  bucket('list, no key', 'GET', '?list-type=2&max-keys=0'),
  bucket('list, start after', 'GET', '?list-type=2&start-after=a%2F2'),
  bucket('list, encoded', 'GET', '?encoding-type=url&list-type=2'),
  bucket('list, wrong count', 'GET', '?list-type=2&max-keys=x'),
  {
    name: 'copy',
    method: 'PUT',
    target: `${B}/copy`,
    headers: { 'x-amz-copy-source': `${B}/plain` },
  },
  get('copy'),
  {
    name: 'copy, other metadata',
    method: 'PUT',
    target: `${B}/copy`,
    headers: {
      'x-amz-copy-source': `${B}/plain`,
      'x-amz-metadata-directive': 'REPLACE',
      'content-type': 'text/html',
      'x-amz-meta-size': 'small',
    },
  },
  get('copy', {}, ', other metadata'),
  {
    name: 'copy of nothing',
    method: 'PUT',
    target: `${B}/copy2`,
    headers: { 'x-amz-copy-source': `${B}/none` },
  },
  {
    name: 'copy to itself',
    method: 'PUT',
    target: `${B}/plain`,
    headers: { 'x-amz-copy-source': `${B}/plain` },
  },
  { name: 'put tags', method: 'PUT', target: `${B}/plain?tagging=`, ...xml(TAGS) },
  { name: 'get tags', method: 'GET', target: `${B}/plain?tagging=` },
  { name: 'delete tags', method: 'DELETE', target: `${B}/plain?tagging=` },
  { name: 'create upload', method: 'POST', target: `${B}/parts?uploads=` },
  {
    name: 'part 1',
    method: 'PUT',
    target: `${B}/parts?partNumber=1&uploadId=`,
    body: BIG,
    with: 'uploadId',
  },
  {
    name: 'part 2',
    method: 'PUT',
    target: `${B}/parts?partNumber=2&uploadId=`,
    body: 'tail',
    with: 'uploadId',
  },
  {
    name: 'complete',
    method: 'POST',
    target: `${B}/parts?uploadId=`,
    with: 'uploadId',
    ...xml(COMPLETE),
  },
  { name: 'head of parts', method: 'HEAD', target: `${B}/parts` },
  get('parts', { range: 'bytes=5242870-5242890' }, ', range over two parts'),
  {
    name: 'complete no upload',
    method: 'POST',
    target: `${B}/parts?uploadId=none`,
    ...xml(COMPLETE),
  },
  { name: 'delete many', method: 'POST', target: `${B}?delete=`, ...xml(DELETE) },
  { name: 'delete many, quiet', method: 'POST', target: `${B}?delete=`, ...xml(QUIET) },
  { name: 'delete many, no XML', method: 'POST', target: `${B}?delete=`, ...xml('nonsense') },
  { name: 'delete', method: 'DELETE', target: `${B}/plain` },
  { name: 'delete again', method: 'DELETE', target: `${B}/plain` },
  bucket('delete bucket that is not empty', 'DELETE', ''),
  bucket('cors', 'GET', '?cors='),
  bucket('website', 'GET', '?website='),
  bucket('versioning', 'GET', '?versioning='),
  { name: 'bucket of a wrong name', method: 'PUT', target: '/Ab' },
  { name: 'method that is none', method: 'PATCH', target: `${B}/plain` },
];
