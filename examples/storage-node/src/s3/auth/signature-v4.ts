import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { hexDigestAtOnce } from '../base/digest.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { AccessKeys } from './access-keys.ts';
import {
  ALGORITHM_V4,
  AuthorizationHeaders,
  parseScope,
  parseSignedHeaders,
  type Scope,
} from './authorization-header.ts';
import { queryValue, type RequestHead } from './request-head.ts';
import {
  amzTimeOf,
  assertNotSkewed,
  invalidTime,
  MAX_SKEW_MS,
  parseAmzTime,
} from './request-time.ts';
import { uriEncode, uriEncodePath } from './uri-text.ts';

/** The inputs of later signatures of the same request (chunks, trailers). */
export interface SigningContext {
  readonly key: KeyObject;
  /** `YYYYMMDDThhmmssZ` */
  readonly time: string;
  readonly scope: string;
  /** Hexadecimal; start of the chain of chunk signatures. */
  readonly signature: string;
}

export interface Authenticated {
  readonly accessKeyId: string;
  /** Value of `x-amz-content-sha256`, or its replacement. */
  readonly contentSha256: string;
  readonly signing?: SigningContext;
}

const MAX_EXPIRES_S = 7 * 24 * 3600;
const UNSIGNED = 'UNSIGNED-PAYLOAD';

/** One per process: what it knows depends on no server. */
const authorizationHeaders = new AuthorizationHeaders();

export function sha256Hex(text: string): string {
  return hexDigestAtOnce('sha256', Buffer.from(text, 'latin1'));
}

function canonicalQuery(head: RequestHead, isPresigned: boolean): string {
  const encoded: [string, string][] = [];
  for (const [name, value] of head.query) {
    if (isPresigned && name === 'X-Amz-Signature') continue;
    encoded.push([uriEncode(name), uriEncode(value)]);
  }
  // Encoded text is ASCII: UTF-16 order is byte order.
  encoded.sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0));
  return encoded.map(([name, value]) => `${name}=${value}`).join('&');
}

function canonicalHeaders(head: RequestHead, signed: readonly string[]): string {
  let text = '';
  for (const name of signed) {
    const value = head.headers.get(name);
    if (value === undefined) {
      throw new ProtocolError('SignatureDoesNotMatch', `The signed header ${name} is missing`);
    }
    const folded = value.includes('  ') ? value.replaceAll(/ +/g, ' ') : value;
    text += `${name}:${folded.trim()}\n`;
  }
  return text;
}

/** Above it, a set takes less time than it costs. */
const MOST_SEARCHED_HEADERS = 16;

/** Every header that S3 acts on must be signed; otherwise an intermediary could change it. */
function assertCoverage(head: RequestHead, signed: readonly string[], isPresigned: boolean): void {
  const set = signed.length > MOST_SEARCHED_HEADERS ? new Set(signed) : undefined;
  const isCovered = (name: string): boolean => set?.has(name) ?? signed.includes(name);
  const missing: string[] = isCovered('host') ? [] : ['host'];
  for (const name of head.headers.keys()) {
    if (!name.startsWith('x-amz-') || isCovered(name)) continue;
    // It counts only where the link says nothing about the body: see `payloadOfLink`.
    if (isPresigned && name === 'x-amz-content-sha256') continue;
    missing.push(name);
  }
  if (missing.length === 0) return;
  const text = 'There were headers present in the request which were not signed';
  throw new ProtocolError('AccessDenied', text, {
    fields: { HeadersNotSigned: missing.join(', ') },
  });
}

function assertSignature(expected: string, given: string): void {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  if (a.length !== b.length || !timingSafeEqual(a, b)) {
    throw new ProtocolError('SignatureDoesNotMatch');
  }
}

function hmacHex(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

interface SignedRequest {
  readonly scope: Scope;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly time: string;
  readonly contentSha256: string;
  readonly isPresigned: boolean;
}

function verify(head: RequestHead, keys: AccessKeys, signed: SignedRequest): SigningContext {
  const { scope, signedHeaders, time } = signed;
  const key = keys.signingKey(scope.accessKeyId, scope.day, scope.region);
  if (key === undefined) throw new ProtocolError('InvalidAccessKeyId');
  assertCoverage(head, signedHeaders, signed.isPresigned);
  const canonical = [
    head.method,
    uriEncodePath(head.path),
    canonicalQuery(head, signed.isPresigned),
    canonicalHeaders(head, signedHeaders),
    signedHeaders.join(';'),
    signed.contentSha256,
  ].join('\n');
  const toSign = `${ALGORITHM_V4}\n${time}\n${scope.text}\n${sha256Hex(canonical)}`;
  assertSignature(hmacHex(key, toSign), signed.signature);
  return { key, time, scope: scope.text, signature: signed.signature };
}

function headerTime(head: RequestHead): string {
  const given = head.headers.get('x-amz-date');
  if (given !== undefined) return given;
  const ms = Date.parse(head.headers.get('date') ?? '');
  if (Number.isNaN(ms)) throw invalidTime();
  return amzTimeOf(ms);
}

/** Verifies a request with the header `Authorization: AWS4-HMAC-SHA256 …`. */
export function verifyHeaderV4(
  head: RequestHead,
  authorization: string,
  keys: AccessKeys,
  nowMs: number,
): Authenticated {
  const header = authorizationHeaders.parse(authorization);
  const { scope, signedHeaders, signature } = header;
  const time = headerTime(head);
  const ms = parseAmzTime(time);
  if (ms === undefined) throw invalidTime();
  assertNotSkewed(time, ms, nowMs);
  if (!time.startsWith(scope.day)) {
    const malformed = 'AuthorizationHeaderMalformed';
    throw new ProtocolError(malformed, 'The date of the credential is not that of the request');
  }
  const contentSha256 = head.headers.get('x-amz-content-sha256');
  if (contentSha256 === undefined) {
    const text = 'Missing required header for this request: x-amz-content-sha256';
    throw new ProtocolError('InvalidRequest', text);
  }
  const signing = verify(head, keys, {
    scope,
    signedHeaders,
    signature,
    time,
    contentSha256,
    isPresigned: false,
  });
  if (!header.isKnown) authorizationHeaders.keep(authorization, header);
  return { accessKeyId: scope.accessKeyId, contentSha256, signing };
}

/**
 * What the body of a request by a link must be. What is signed into the link binds its holder. If
 * the link says nothing, an unsigned header may declare more; the body must then match it.
 *
 * @throws ProtocolError XAmzContentSHA256Mismatch if the header differs from the link.
 */
function payloadOfLink(signed: string, inHeader: string | undefined): string {
  if (signed === UNSIGNED) return inHeader ?? signed;
  if (inHeader !== undefined && inHeader.toLowerCase() !== signed.toLowerCase()) {
    const text = 'The header x-amz-content-sha256 differs from the value signed into the link';
    throw new ProtocolError('XAmzContentSHA256Mismatch', text);
  }
  return signed;
}

/** Verifies a request with `X-Amz-Algorithm` and the other parameters in its query. */
export function verifyPresignedV4(
  head: RequestHead,
  keys: AccessKeys,
  nowMs: number,
): Authenticated {
  const malformed = 'AuthorizationQueryParametersError';
  const field = (name: string): string => {
    const value = queryValue(head.query, `X-Amz-${name}`);
    if (value === undefined) throw new ProtocolError(malformed, `X-Amz-${name} is missing`);
    return value;
  };
  if (field('Algorithm') !== ALGORITHM_V4) {
    throw new ProtocolError(malformed, `X-Amz-Algorithm only supports ${ALGORITHM_V4}`);
  }
  const scope = parseScope(field('Credential'), malformed);
  const time = field('Date');
  const ms = parseAmzTime(time);
  if (ms === undefined || !time.startsWith(scope.day)) {
    throw new ProtocolError(malformed, 'X-Amz-Date must be YYYYMMDDThhmmssZ, of the same day');
  }
  const expires = field('Expires');
  const expiresS = /^\d{1,9}$/.test(expires) ? Number(expires) : -1;
  if (expiresS < 1 || expiresS > MAX_EXPIRES_S) {
    throw new ProtocolError(malformed, `X-Amz-Expires must be 1 to ${MAX_EXPIRES_S} seconds`);
  }
  const inQuery = head.query.find(([name]) => name.toLowerCase() === 'x-amz-content-sha256')?.[1];
  const inHeader = head.headers.get('x-amz-content-sha256');
  const signedHeaders = parseSignedHeaders(field('SignedHeaders'), malformed);
  const signedDigest = signedHeaders.includes('x-amz-content-sha256') ? inHeader : undefined;
  const signed = inQuery ?? signedDigest ?? UNSIGNED;
  const signing = verify(head, keys, {
    scope,
    signedHeaders,
    signature: field('Signature'),
    time,
    contentSha256: signed,
    isPresigned: true,
  });
  // Checked after the signature, so that a changed URL reveals nothing about the original.
  if (nowMs > ms + expiresS * 1000 || nowMs < ms - MAX_SKEW_MS) {
    throw new ProtocolError('AccessDenied', 'Request has expired', {
      fields: { Expires: new Date(ms + expiresS * 1000).toISOString() },
    });
  }
  const contentSha256 = payloadOfLink(signed, inHeader);
  return { accessKeyId: scope.accessKeyId, contentSha256, signing };
}
