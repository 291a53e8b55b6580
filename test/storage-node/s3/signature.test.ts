import { expect, test } from 'vitest';
import { AccessKeys } from '../../../examples/storage-node/src/s3/auth/access-keys.ts';
import { authenticate } from '../../../examples/storage-node/src/s3/auth/authenticate.ts';
import { requestHead } from '../support/request-head.ts';

// The examples of the S3 documentation, computed by another implementation.
const ID = 'AKIAIOSFODNN7EXAMPLE';
const KEYS = new AccessKeys([
  { accessKeyId: ID, secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
]);
const SCOPE = '20130524/us-east-1/s3/aws4_request';
const NOW = Date.parse('2013-05-24T00:00:00Z');
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function authorization(signedHeaders: string, signature: string): string {
  return (
    `AWS4-HMAC-SHA256 Credential=${ID}/${SCOPE},SignedHeaders=${signedHeaders},` +
    `Signature=${signature}`
  );
}

const GET_HEADERS = {
  host: 'examplebucket.s3.amazonaws.com',
  range: 'bytes=0-9',
  'x-amz-content-sha256': EMPTY,
  'x-amz-date': '20130524T000000Z',
  authorization: authorization(
    'host;range;x-amz-content-sha256;x-amz-date',
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  ),
};

test('the documented GET, PUT and list verify', () => {
  expect(authenticate(requestHead('GET', '/test.txt', GET_HEADERS), KEYS, NOW).accessKeyId).toBe(
    ID,
  );
  const put = requestHead('PUT', '/test%24file.text', {
    host: 'examplebucket.s3.amazonaws.com',
    date: 'Fri, 24 May 2013 00:00:00 GMT',
    'x-amz-date': '20130524T000000Z',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    authorization: authorization(
      'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
      '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    ),
  });
  expect(authenticate(put, KEYS, NOW).accessKeyId).toBe(ID);
  const list = requestHead('GET', '/?max-keys=2&prefix=J', {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256': EMPTY,
    'x-amz-date': '20130524T000000Z',
    authorization: authorization(
      'host;x-amz-content-sha256;x-amz-date',
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ),
  });
  expect(authenticate(list, KEYS, NOW).accessKeyId).toBe(ID);
});

const PRESIGNED =
  `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(`${ID}/${SCOPE}`)}` +
  '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
  '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404';
const HOST = { host: 'examplebucket.s3.amazonaws.com' };

test('the documented presigned link verifies until it expires', () => {
  const head = requestHead('GET', PRESIGNED, HOST);
  expect(authenticate(head, KEYS, NOW + 86_400_000)).toMatchObject({
    accessKeyId: ID,
    contentSha256: 'UNSIGNED-PAYLOAD',
  });
  const expired = { code: 'AccessDenied', message: 'Request has expired' };
  expect(() => authenticate(head, KEYS, NOW + 86_400_001)).toThrow(
    expect.objectContaining(expired),
  );
});

test('a presigned link of version 2 verifies until it expires', () => {
  // From the documentation of the older signature: GET of photos/puppy.jpg.
  const target =
    '/johnsmith/photos/puppy.jpg?AWSAccessKeyId=' +
    `${ID}&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620`;
  const head = requestHead('GET', target, HOST);
  expect(authenticate(head, KEYS, 1_175_139_620_000).accessKeyId).toBe(ID);
  expect(() => authenticate(head, KEYS, 1_175_139_621_000)).toThrow('Request has expired');
  const changed = requestHead('GET', target.replace('puppy', 'kitty'), HOST);
  // Parameters that count as headers are signed as headers are.
  const extended = requestHead('GET', `${target}&x-amz-acl=public-read`, HOST);
  for (const other of [changed, extended]) {
    expect(() => authenticate(other, KEYS, 0)).toThrow(
      expect.objectContaining({ code: 'SignatureDoesNotMatch' }),
    );
  }
});

const V2_TIME = 'Tue, 27 Mar 2007 19:36:42 +0000';
const V2_NOW = Date.parse(V2_TIME);
const V2_GET = {
  ...HOST,
  date: V2_TIME,
  authorization: `AWS ${ID}:bWq2s1WEIj+Ydj0vQ697zp+IXMU=`,
};

test('the documented requests with headers of version 2 verify', () => {
  const get = requestHead('GET', '/johnsmith/photos/puppy.jpg', V2_GET);
  expect(authenticate(get, KEYS, V2_NOW)).toEqual({
    accessKeyId: ID,
    contentSha256: 'UNSIGNED-PAYLOAD',
  });
  const upload = requestHead('PUT', '/static.johnsmith.net/db-backup.dat.gz', {
    ...HOST,
    date: 'Tue, 27 Mar 2007 21:06:08 +0000',
    'x-amz-acl': 'public-read',
    'content-type': 'application/x-download',
    'content-md5': '4gJE4saaMU4BqNR0kLY+lw==',
    'x-amz-meta-reviewedby': 'joe@johnsmith.net,jane@johnsmith.net',
    'x-amz-meta-filechecksum': '0x02661779',
    'x-amz-meta-checksumalgorithm': 'crc32',
    authorization: `AWS ${ID}:ilyl83RwaSoYIEdixDQcA4OnAnc=`,
  });
  expect(authenticate(upload, KEYS, V2_NOW + 5_366_000).accessKeyId).toBe(ID);
  for (const target of ['/johnsmith/?acl', '/johnsmith?acl']) {
    const acl = requestHead('GET', target, {
      ...HOST,
      date: 'Tue, 27 Mar 2007 19:44:46 +0000',
      authorization: `AWS ${ID}:c2WLPFtWHVgbEmeEG93a4cG37dM=`,
    });
    expect(authenticate(acl, KEYS, V2_NOW).accessKeyId).toBe(ID);
  }
  // x-amz-date is the time, and Date is then not signed.
  const amzDate = requestHead('DELETE', '/johnsmith/photos/puppy.jpg', {
    ...HOST,
    date: 'Tue, 27 Mar 2001 21:20:27 +0000',
    'x-amz-date': 'Tue, 27 Mar 2007 21:20:26 +0000',
    authorization: `AWS ${ID}:R4dJ53KECjStyBO5iTBJZ4XVOaI=`,
  });
  expect(authenticate(amzDate, KEYS, V2_NOW + 6_224_000).accessKeyId).toBe(ID);
});

test.each([
  ['another method', { method: 'DELETE' }, 'SignatureDoesNotMatch'],
  ['another path', { target: '/johnsmith/photos/kitty.jpg' }, 'SignatureDoesNotMatch'],
  ['a signed name', { target: '/johnsmith/photos/puppy.jpg?acl' }, 'SignatureDoesNotMatch'],
  ['a type', { headers: { 'content-type': 'text/plain' } }, 'SignatureDoesNotMatch'],
  ['a digest', { headers: { 'content-md5': 'AWS HAHAHA' } }, 'SignatureDoesNotMatch'],
  ['an x-amz- header', { headers: { 'x-amz-acl': 'private' } }, 'SignatureDoesNotMatch'],
  ['a clock 16 minutes ahead', { nowMs: V2_NOW + 960_000 }, 'RequestTimeTooSkewed'],
  ['a clock 16 minutes behind', { nowMs: V2_NOW - 960_000 }, 'RequestTimeTooSkewed'],
  ['no time', { headers: { date: '' } }, 'AccessDenied'],
  ['a time that is none', { headers: { 'x-amz-date': 'Bad Date' } }, 'AccessDenied'],
  [
    'a time before 1970',
    { headers: { 'x-amz-date': 'Tue, 07 Jul 1950 21:53:04 GMT' } },
    'AccessDenied',
  ],
  [
    'an unknown key',
    { headers: { authorization: 'AWS AKIDOTHER:bWq2s1WEIj+Ydj0vQ697zp+IXMU=' } },
    'InvalidAccessKeyId',
  ],
  ['no signature in it', { headers: { authorization: 'AWS HAHAHA' } }, 'InvalidArgument'],
  ['a short signature', { headers: { authorization: `AWS ${ID}:x` } }, 'SignatureDoesNotMatch'],
] as const)('refused in headers of version 2: %s', (_what, change, code) => {
  const {
    method = 'GET',
    target = '/johnsmith/photos/puppy.jpg',
    headers = {},
    nowMs = V2_NOW,
  } = change as {
    method?: string;
    target?: string;
    headers?: Record<string, string>;
    nowMs?: number;
  };
  const head = requestHead(method, target, { ...V2_GET, ...headers });
  expect(() => authenticate(head, KEYS, nowMs)).toThrow(expect.objectContaining({ code }));
});

test.each([
  ['another method', { method: 'PUT' }, 'SignatureDoesNotMatch'],
  ['another path', { target: '/test2.txt' }, 'SignatureDoesNotMatch'],
  ['a further query', { target: '/test.txt?acl' }, 'SignatureDoesNotMatch'],
  ['a changed header', { headers: { range: 'bytes=0-99' } }, 'SignatureDoesNotMatch'],
  ['an unsigned header that S3 acts on', { headers: { 'x-amz-acl': 'private' } }, 'AccessDenied'],
  ['a clock 16 minutes ahead', { nowMs: NOW + 960_000 }, 'RequestTimeTooSkewed'],
  ['a clock 16 minutes behind', { nowMs: NOW - 960_000 }, 'RequestTimeTooSkewed'],
  ['no time', { headers: { 'x-amz-date': 'today' } }, 'AccessDenied'],
  [
    'an unknown key',
    { headers: { authorization: GET_HEADERS.authorization.replace(ID, 'AKIDOTHER') } },
    'InvalidAccessKeyId',
  ],
  [
    'another service',
    { headers: { authorization: GET_HEADERS.authorization.replace('/s3/', '/ec2/') } },
    'AuthorizationHeaderMalformed',
  ],
  [
    'another region',
    { headers: { authorization: GET_HEADERS.authorization.replace('us-east-1', 'eu-west-1') } },
    'SignatureDoesNotMatch',
  ],
  [
    'the date of another day',
    { headers: { authorization: GET_HEADERS.authorization.replace('20130524', '20130525') } },
    'AuthorizationHeaderMalformed',
  ],
  [
    'no signature in it',
    { headers: { authorization: 'AWS4-HMAC-SHA256 x' } },
    'AuthorizationHeaderMalformed',
  ],
  ['another version', { headers: { authorization: 'AWS4-ECDSA-P256-SHA256 x' } }, 'InvalidRequest'],
  ['another scheme', { headers: { authorization: 'Basic eDp5' } }, 'InvalidArgument'],
  ['two signatures', { target: PRESIGNED }, 'InvalidArgument'],
] as const)('refused: %s', (_what, change, code) => {
  const {
    method = 'GET',
    target = '/test.txt',
    headers = {},
    nowMs = NOW,
  } = change as {
    method?: string;
    target?: string;
    headers?: Record<string, string>;
    nowMs?: number;
  };
  const head = requestHead(method, target, { ...GET_HEADERS, ...headers });
  expect(() => authenticate(head, KEYS, nowMs)).toThrow(expect.objectContaining({ code }));
});

test('a request without a signature is denied', () => {
  expect(() => authenticate(requestHead('GET', '/', HOST), KEYS, NOW)).toThrow(
    expect.objectContaining({ code: 'AccessDenied' }),
  );
});

test.each([
  ['X-Amz-Expires=86400', 'X-Amz-Expires=604801', 'AuthorizationQueryParametersError'],
  ['X-Amz-Expires=86400', 'X-Amz-Expires=0', 'AuthorizationQueryParametersError'],
  ['X-Amz-Expires=86400', 'X-Amz-Expires=-1', 'AuthorizationQueryParametersError'],
  ['X-Amz-Expires=86400', 'X-Amz-Expires=9', 'SignatureDoesNotMatch'],
  ['&X-Amz-SignedHeaders=host', '', 'AuthorizationQueryParametersError'],
  ['SignedHeaders=host', 'SignedHeaders=range', 'AccessDenied'],
  ['aeeed9', 'beeed9', 'SignatureDoesNotMatch'],
  ['20130524T', '20130525T', 'AuthorizationQueryParametersError'],
])('a link with %s for %s is refused', (from, to, code) => {
  const head = requestHead('GET', PRESIGNED.replace(from, to), HOST);
  expect(() => authenticate(head, KEYS, NOW)).toThrow(expect.objectContaining({ code }));
});

test.each([
  ['a header', '/', { ...HOST, authorization: `AWS ${ID}:AAAA` }],
  ['a link', `/?AWSAccessKeyId=${ID}&Expires=1&Signature=AAAA`, HOST],
])('version 2 in %s is refused where it is switched off', (_, target, headers) => {
  const head = requestHead('GET', target, headers);
  const isOff = expect.objectContaining({
    code: 'InvalidRequest',
    message: 'Signature version 2 is switched off. Please use AWS4-HMAC-SHA256.',
  });
  expect(() => authenticate(head, KEYS, NOW, false)).toThrow(isOff);
  expect(() => authenticate(head, KEYS, NOW)).not.toThrow(isOff);
});

test('version 4 is accepted where version 2 is switched off', () => {
  const head = requestHead('GET', '/test.txt', GET_HEADERS);
  expect(authenticate(head, KEYS, NOW, false).accessKeyId).toBe(ID);
});
