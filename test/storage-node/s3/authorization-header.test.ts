import { expect, test } from 'vitest';
import {
  type AuthorizationHeader,
  AuthorizationHeaders,
} from '../../../examples/storage-node/src/s3/auth/authorization-header.ts';

const CLAIM =
  'AWS4-HMAC-SHA256 Credential=AKID/20130524/us-east-1/s3/aws4_request, ' +
  'SignedHeaders=host;x-amz-date, ';
const SIGNATURE = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);

function headerOf(text: string, headers = new AuthorizationHeaders()): AuthorizationHeader {
  const header = headers.parse(text);
  if (!header.isKnown) headers.keep(text, header);
  return header;
}

test('a claim that is known is parsed as before, with the signature of its request', () => {
  const headers = new AuthorizationHeaders();
  const first = headerOf(`${CLAIM}Signature=${SIGNATURE}`, headers);
  const again = headerOf(`${CLAIM}Signature=${OTHER}`, headers);
  expect(again).toEqual({ ...first, signature: OTHER, isKnown: true });
  expect(first).toEqual({
    scope: {
      accessKeyId: 'AKID',
      day: '20130524',
      region: 'us-east-1',
      text: '20130524/us-east-1/s3/aws4_request',
    },
    signedHeaders: ['host', 'x-amz-date'],
    signature: SIGNATURE,
    isKnown: false,
  });
});

test.each([
  ['another signature before the last', `${CLAIM}Signature=${OTHER}, XSignature=${SIGNATURE}`],
  ['a field after the signature', `${CLAIM}Signature=${SIGNATURE}, Further=x`],
  ['a blank after the signature', `${CLAIM}Signature=${SIGNATURE} `],
  ['a signature in upper case', `${CLAIM}Signature=${SIGNATURE.toUpperCase()}`],
  ['a signature of another length', `${CLAIM}Signature=${SIGNATURE}ab`],
  ['a long list of headers', `${CLAIM}SignedHeaders=${'a;'.repeat(500)}a, Signature=${SIGNATURE}`],
])('a header with %s is parsed each time', (_, text) => {
  const headers = new AuthorizationHeaders();
  const first = headerOf(text, headers);
  expect(headers.known).toBe(0);
  expect(headerOf(text, headers)).toEqual(first);
});

test('a known claim does not make a malformed header a good one', () => {
  const headers = new AuthorizationHeaders();
  headerOf(`${CLAIM}Signature=${SIGNATURE}`, headers);
  const malformed = expect.objectContaining({ code: 'AuthorizationHeaderMalformed' }) as Error;
  expect(() => headers.parse(CLAIM)).toThrow(malformed);
  expect(headers.parse(`${CLAIM}Signature=x`).signature).toBe('x');
  const changed = `${CLAIM.replace('/s3/', '/ec2/')}Signature=${SIGNATURE}`;
  expect(() => headers.parse(changed)).toThrow(malformed);
});

test('claims are forgotten when there are many', () => {
  const headers = new AuthorizationHeaders();
  for (let i = 0; i < 1000; i++) {
    headerOf(`${CLAIM.replace('AKID', `AKID${i}`)}Signature=${SIGNATURE}`, headers);
    expect(headers.known).toBeLessThanOrEqual(256);
  }
});
