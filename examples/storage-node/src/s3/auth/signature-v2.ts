import { createHmac, timingSafeEqual } from 'node:crypto';
import { ProtocolError } from '../base/protocol-error.ts';
import type { AccessKeys } from './access-keys.ts';
import { queryValue, type RequestHead } from './request-head.ts';
import type { Authenticated } from './signature-v4.ts';

/** Query names that a signature of version 2 covers. */
const COVERED = new Set([
  'acl',
  'cors',
  'delete',
  'lifecycle',
  'location',
  'logging',
  'notification',
  'partNumber',
  'policy',
  'requestPayment',
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
  'restore',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
  'versioning',
  'versions',
  'website',
]);

function canonicalResource(head: RequestHead): string {
  const covered = head.query
    .filter(([name]) => COVERED.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`));
  return covered.length === 0 ? head.rawPath : `${head.rawPath}?${covered.join('&')}`;
}

function canonicalAmzHeaders(head: RequestHead): string {
  const names = [...head.headers.keys()].filter((name) => name.startsWith('x-amz-')).sort();
  return names.map((name) => `${name}:${(head.headers.get(name) ?? '').trim()}\n`).join('');
}

/** A presigned URL with `AWSAccessKeyId`, `Expires` and `Signature`, as old clients create it. */
export function verifyPresignedV2(
  head: RequestHead,
  keys: AccessKeys,
  nowMs: number,
): Authenticated {
  const [accessKeyId, expires, signature] = ['AWSAccessKeyId', 'Expires', 'Signature'].map((name) =>
    queryValue(head.query, name),
  );
  if (accessKeyId === undefined || expires === undefined || signature === undefined) {
    const text = 'Query-string authentication requires Signature, Expires and AWSAccessKeyId';
    throw new ProtocolError('AccessDenied', text);
  }
  const secret = keys.secret(accessKeyId);
  if (secret === undefined) throw new ProtocolError('InvalidAccessKeyId');
  if (!/^\d{1,12}$/.test(expires)) {
    throw new ProtocolError('AccessDenied', 'Expires must be seconds since 1970');
  }
  const toSign = [
    head.method,
    head.headers.get('content-md5') ?? '',
    head.headers.get('content-type') ?? '',
    expires,
    canonicalAmzHeaders(head) + canonicalResource(head),
  ].join('\n');
  const expected = createHmac('sha1', secret).update(toSign, 'latin1').digest();
  const given = Buffer.from(signature, 'base64');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new ProtocolError('SignatureDoesNotMatch');
  }
  if (nowMs > Number(expires) * 1000) {
    throw new ProtocolError('AccessDenied', 'Request has expired');
  }
  const contentSha256 = head.headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD';
  return { accessKeyId, contentSha256 };
}
