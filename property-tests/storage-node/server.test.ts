import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { createS3Server } from '../../examples/storage-node/src/s3/s3-server.ts';
import { uriEncode } from '../../examples/storage-node/src/s3/auth/uri-text.ts';
import { MemoryNode } from '../../test/storage-node/support/memory-node.ts';
import { KEY, send } from '../../test/storage-node/support/signed-request.ts';

const RUNS = process.env['LODESTORE_TEST_FULL'] === undefined ? 150 : 5000;

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.constantFrom('', '0', '1', '-1', '2', '1000', '99999999999', 'url', '/', 'true', 'null', '*'),
);
const KEYS_OF_QUERY = [
  'acl',
  'attributes',
  'continuation-token',
  'delete',
  'delimiter',
  'encoding-type',
  'fetch-owner',
  'key-marker',
  'list-type',
  'location',
  'marker',
  'max-keys',
  'max-parts',
  'max-uploads',
  'part-number-marker',
  'partNumber',
  'prefix',
  'response-content-type',
  'response-expires',
  'start-after',
  'tagging',
  'upload-id-marker',
  'uploadId',
  'uploads',
  'versionId',
  'versions',
];
const HEADERS = [
  'cache-control',
  'content-encoding',
  'content-md5',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'range',
  'x-amz-acl',
  'x-amz-checksum-algorithm',
  'x-amz-checksum-crc32',
  'x-amz-checksum-mode',
  'x-amz-checksum-type',
  'x-amz-copy-source',
  'x-amz-copy-source-if-match',
  'x-amz-copy-source-range',
  'x-amz-decoded-content-length',
  'x-amz-meta-a',
  'x-amz-metadata-directive',
  'x-amz-mp-object-size',
  'x-amz-object-attributes',
  'x-amz-storage-class',
  'x-amz-tagging',
  'x-amz-tagging-directive',
  'x-amz-trailer',
];
const headerText = fc.oneof(
  text.map((value) => value.replaceAll(/[^\x20-\x7e]/g, '').trim()),
  fc.constantFrom('/bucket/key', 'bytes=0-1', 'bytes=-1', '"x"', 'a=b&c', 'REPLACE', 'COPY'),
  fc.constantFrom('ENABLED', 'CRC32', 'FULL_OBJECT', 'ETag,Checksum,ObjectParts', 'AAAAAA=='),
);
const body = fc.oneof(
  fc.constant(''),
  fc.string({ maxLength: 40 }),
  fc.constantFrom(
    '<Delete><Object><Key>key</Key></Object></Delete>',
    '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>',
    '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>',
    '5\r\nhello\r\n0\r\n\r\n',
  ),
);
const asked = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'DELETE'),
  path: fc.constantFrom('/', '/bucket', '/bucket/key', '/bucket/none', '/none', '/bucket/copy'),
  query: fc.dictionary(fc.constantFrom(...KEYS_OF_QUERY), text, { maxKeys: 3 }),
  headers: fc.dictionary(fc.constantFrom(...HEADERS), headerText, { maxKeys: 4 }),
  body,
  payload: fc.constantFrom(undefined, 'UNSIGNED-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'),
});

test('the node answers any request of a client with a key, and never with a fault of its own', async () => {
  const node = new MemoryNode();
  const causes: unknown[] = [];
  const server = createS3Server(node, {
    keys: [KEY],
    log: ({ cause, operation, path }) => {
      if (cause !== undefined) causes.push({ operation, path, cause });
    },
  });
  const url = await server.listen();
  onTestFinished(() => server.close(0));
  const statuses = new Set<number>();
  await fc.assert(
    fc.asyncProperty(asked, async ({ method, path, query, headers, body: sent, payload }) => {
      await node.createBucket('bucket');
      const describe = () => ({ etag: 'x', meta: { headers: {} } });
      await node.put('bucket', 'key', [Buffer.from('hello')], { describe });
      const pairs = Object.entries(query).map(([key, value]) => `${key}=${uriEncode(value)}`);
      const answer = await send(url, {
        method,
        target: pairs.length === 0 ? path : `${path}?${pairs.sort().join('&')}`,
        headers,
        ...((method === 'PUT' || method === 'POST') && { body: sent }),
        ...(payload !== undefined && { contentSha256: payload }),
      });
      statuses.add(answer.status);
      expect(causes).toEqual([]);
      expect(answer.status).not.toBe(500);
      if (answer.status >= 400 && method !== 'HEAD') expect(answer.code).toBeDefined();
    }),
    { numRuns: RUNS },
  );
  expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 404]));
  await expect.poll(() => node.openReaders).toBe(0);
});
