import { createHmac, timingSafeEqual } from 'node:crypto';
import { ProtocolError } from '../base/protocol-error.ts';
import type { AccessKeys } from './access-keys.ts';
import { joinedHeaders } from './headers-in-query.ts';
import { queryValue, type RequestHead } from './request-head.ts';
import { assertNotSkewed, invalidTime, parseAmzTime } from './request-time.ts';
import type { Authenticated } from './signature-v4.ts';

/** Query names that a signature of version 2 covers. */
const COVERED = new Set([
  'accelerate',
  'acl',
  'analytics',
  'cors',
  'delete',
  'inventory',
  'lifecycle',
  'location',
  'logging',
  'metrics',
  'notification',
  'object-lock',
  'partNumber',
  'policy',
  'replication',
  'requestPayment',
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
  'restore',
  'select',
  'select-type',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
  'versioning',
  'versions',
  'website',
]);

/** Of `path`, which is that of the request, as received. */
function canonicalResource(head: RequestHead, path: string): string {
  const covered = head.query
    .filter(([name]) => COVERED.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`));
  return covered.length === 0 ? path : `${path}?${covered.join('&')}`;
}

/** Whether they are headers or parameters of a link. */
function canonicalAmzHeaders(head: RequestHead): string {
  const headers = joinedHeaders(head);
  const names = [...headers.keys()].filter((name) => name.startsWith('x-amz-')).sort();
  return names.map((name) => `${name}:${(headers.get(name) ?? '').trim()}\n`).join('');
}

/** Clients sign `/BUCKET/` for a bucket, whether or not they send the last slash. */
function pathsOf(rawPath: string): string[] {
  return rawPath.lastIndexOf('/') === 0 && rawPath !== '/' ? [rawPath, `${rawPath}/`] : [rawPath];
}

interface SignedV2 {
  readonly accessKeyId: string;
  /** Base64. */
  readonly signature: string;
  /** `Expires` of a link, or `Date`. */
  readonly time: string;
}

function verify(head: RequestHead, keys: AccessKeys, signed: SignedV2): Authenticated {
  const { accessKeyId, signature, time } = signed;
  const secret = keys.secret(accessKeyId);
  if (secret === undefined) throw new ProtocolError('InvalidAccessKeyId');
  const given = Buffer.from(signature, 'base64');
  const { hostBucket, rawPath } = head;
  const resource = hostBucket === undefined ? rawPath : `/${hostBucket}${rawPath}`;
  const isSigned = pathsOf(resource).some((path) => {
    const toSign = [
      head.method,
      head.headers.get('content-md5') ?? '',
      head.headers.get('content-type') ?? '',
      time,
      canonicalAmzHeaders(head) + canonicalResource(head, path),
    ].join('\n');
    const expected = createHmac('sha1', secret).update(toSign, 'latin1').digest();
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (!isSigned) throw new ProtocolError('SignatureDoesNotMatch');
  // The signature covers no body; a client may declare a digest, which the body must then match.
  const contentSha256 = head.headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD';
  return { accessKeyId, contentSha256 };
}

/** Verifies a request with the header `Authorization: AWS KEY:SIGNATURE`. */
export function verifyHeaderV2(
  head: RequestHead,
  authorization: string,
  keys: AccessKeys,
  nowMs: number,
): Authenticated {
  const match = /^AWS ([^\s:]{1,128}):([A-Za-z\d+/=]{1,64})$/.exec(authorization);
  const [, accessKeyId, signature] = match ?? [];
  if (accessKeyId === undefined || signature === undefined) {
    const text = 'AWS authorization header is invalid. Expected AwsAccessKeyId:signature';
    throw new ProtocolError('InvalidArgument', text);
  }
  const amzDate = head.headers.get('x-amz-date');
  const date = head.headers.get('date') ?? '';
  const given = amzDate ?? date;
  const ms = parseAmzTime(given) ?? Date.parse(given);
  if (Number.isNaN(ms) || ms < 0) throw invalidTime();
  assertNotSkewed(given, ms, nowMs);
  // `x-amz-date` replaces `Date`, and is signed as the other `x-amz-` headers are.
  return verify(head, keys, { accessKeyId, signature, time: amzDate === undefined ? date : '' });
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
  if (!/^\d{1,12}$/.test(expires)) {
    throw new ProtocolError('AccessDenied', 'Expires must be seconds since 1970');
  }
  const authenticated = verify(head, keys, { accessKeyId, signature, time: expires });
  if (nowMs > Number(expires) * 1000) {
    throw new ProtocolError('AccessDenied', 'Request has expired');
  }
  return authenticated;
}
