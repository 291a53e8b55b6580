import { expect, onTestFinished, test } from 'vitest';
import { frame } from '../support/framing.ts';
import { MemoryNode } from '../support/memory-node.ts';
import { openWorld } from '../support/s3-world.ts';
import { send, type Answer, type SignedRequest } from '../support/signed-request.ts';

/** CRC-32 of `hello`, and of nothing. */
const RIGHT = 'NhCmhg==';
const WRONG = 'AAAAAA==';

async function open() {
  const node = new MemoryNode();
  await node.createBucket('bucket');
  const world = await openWorld({}, node);
  onTestFinished(() => world.close());
  const ask = (
    method: string,
    target: string,
    rest: Partial<SignedRequest> = {},
  ): Promise<Answer> => send(world.url, { method, target, ...rest });
  return { node, ask };
}

test('CompleteMultipartUpload compares every checksum, whatever the upload was created with', async () => {
  const { ask } = await open();
  for (const algorithm of [undefined, 'SHA1']) {
    const named: Record<string, string> =
      algorithm === undefined ? {} : { 'x-amz-checksum-algorithm': algorithm };
    const begun = await ask('POST', '/bucket/key?uploads=', { headers: named });
    const uploadId = /<UploadId>(\w+)</.exec(begun.body)![1]!;
    const right: Record<string, string> =
      algorithm === undefined ? { 'x-amz-checksum-crc32': RIGHT } : {};
    const target = `/bucket/key?partNumber=1&uploadId=${uploadId}`;
    const part = await ask('PUT', target, { body: 'hello', headers: right });
    const complete = (headers: Record<string, string>, ofPart = ''): Promise<Answer> => {
      const own = `<PartNumber>1</PartNumber><ETag>${String(part.headers.etag)}</ETag>${ofPart}`;
      const body = `<CompleteMultipartUpload><Part>${own}</Part></CompleteMultipartUpload>`;
      return ask('POST', `/bucket/key?uploadId=${uploadId}`, { body, headers });
    };
    const crc32 = await complete({ 'x-amz-checksum-crc32': WRONG });
    const [code, other] =
      algorithm === undefined ? ['BadDigest', 'SHA1'] : ['InvalidRequest', 'CRC32'];
    expect([crc32.status, crc32.code]).toEqual([400, code]);
    const missing = { [`x-amz-checksum-${other.toLowerCase()}`]: RIGHT };
    expect(await complete(missing)).toMatchObject({ status: 400, code: 'InvalidRequest' });
    const unknown = { 'x-amz-checksum-xxhash64': RIGHT };
    expect(await complete(unknown)).toMatchObject({ status: 400, code: 'InvalidRequest' });
    // Of a part that has none.
    for (const name of [other, 'XXHASH64']) {
      const ofPart = `<Checksum${name}>${RIGHT}</Checksum${name}>`;
      expect(await complete({}, ofPart)).toMatchObject({ status: 400, code: 'InvalidPart' });
    }
    expect(await complete(right)).toMatchObject({ status: 200 });
  }
});

test('a checksum that nobody would compare is refused: of an unknown kind, or not declared', async () => {
  const { ask, node } = await open();
  for (const name of ['xxhash64', 'sha512', 'crc-32']) {
    const headers = { [`x-amz-checksum-${name}`]: RIGHT };
    const put = await ask('PUT', '/bucket/key', { body: 'hello', headers });
    expect([put.status, put.code], name).toEqual([400, 'InvalidRequest']);
  }
  const trailing = (headers: Record<string, string>, trailer: string): Promise<Answer> =>
    ask('PUT', '/bucket/key', {
      headers: { 'x-amz-decoded-content-length': '5', ...headers },
      contentSha256: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      body: frame([Buffer.from('hello')], `${trailer}\r\n\r\n`),
    });
  const malformed = { status: 400, code: 'MalformedTrailerError' };
  expect(await trailing({}, `x-amz-checksum-crc32:${RIGHT}`)).toMatchObject(malformed);
  const declared = { 'x-amz-trailer': 'x-amz-checksum-crc32' };
  const crc32 = `x-amz-checksum-crc32:${RIGHT}`;
  const more = `${crc32}\r\nx-amz-checksum-crc32c:${RIGHT}`;
  expect(await trailing(declared, more)).toMatchObject(malformed);
  expect(await node.info('bucket', 'key')).toBeUndefined();
  expect(await trailing(declared, `${crc32}\r\nx-other:1`)).toMatchObject({ status: 200 });
});
