import { expect, onTestFinished, test } from 'vitest';
import {
  NO_BYTES,
  type ByteRange,
  type ObjectInfo,
  type ObjectReader,
  type OpenOptions,
} from '../../../examples/storage-node/src/object-node.ts';
import { MemoryNode } from '../support/memory-node.ts';
import { openWorld } from '../support/s3-world.ts';
import { send, type Answer, type SignedRequest } from '../support/signed-request.ts';

async function open(
  node: MemoryNode,
): Promise<(method: string, rest?: Partial<SignedRequest>) => Promise<Answer>> {
  await node.createBucket('bucket');
  const world = await openWorld({}, node);
  onTestFinished(() => world.close());
  return (method, rest = {}) => send(world.url, { method, target: '/bucket/key', ...rest });
}

test('a range under If-Range is one of the object that the client has begun, or none', async () => {
  let nowMs = Date.parse('2026-01-02T03:04:05.678Z');
  const ask = await open(new MemoryNode(() => nowMs));
  const etag = String((await ask('PUT', { body: 'aaaa' })).headers.etag);
  const range = async (ifRange: string): Promise<string> =>
    (await ask('GET', { headers: { range: 'bytes=2-3', 'if-range': ifRange } })).body;
  const date = 'Fri, 02 Jan 2026 03:04:05 GMT';
  for (const same of [date, etag, etag.replaceAll('"', '')]) expect(await range(same)).toBe('aa');
  const others = ['Fri, 02 Jan 2026 03:04:06 GMT', `W/${etag}`, `"${'0'.repeat(32)}"`, 'x', ''];
  for (const other of others) expect(await range(other), other).toBe('aaaa');
  // The clock of the node has gone back: the date of the client's first bytes is later.
  nowMs -= 3_600_000;
  await ask('PUT', { body: 'bbbb' });
  expect(await range(date)).toBe('bbbb');
  expect(await range(etag)).toBe('bbbb');
  expect(await range('Fri, 02 Jan 2026 02:04:05 GMT')).toBe('bb');
});

test('time and size of a conditional delete are compared in the step that deletes', async () => {
  let nowMs = Date.parse('2026-01-02T03:04:05.678Z');
  const bytes = Buffer.from('aaaa');
  class SharedNode extends MemoryNode {
    /** Just after it is told, another client stores the same bytes again. */
    override async info(bucket: string, name: string): Promise<ObjectInfo | undefined> {
      const info = await super.info(bucket, name);
      nowMs += 2_000;
      const describe = () => ({ etag: info?.etag ?? '', meta: { headers: {} } });
      if (info !== undefined) await this.put(bucket, name, [bytes], { describe });
      return info;
    }
  }
  const ask = await open(new SharedNode(() => nowMs));
  await ask('PUT', { body: bytes });
  const date = 'x-amz-if-match-last-modified-time';
  const size = 'x-amz-if-match-size';
  const first = { [date]: 'Fri, 02 Jan 2026 03:04:05 GMT' };
  for (const headers of [first, { ...first, [size]: '4' }, { [size]: '5' }, { [size]: 'x' }]) {
    expect((await ask('DELETE', { headers })).status).toBe(412);
    expect((await ask('HEAD')).status).toBe(200);
  }
  expect((await ask('DELETE', { headers: { [size]: '4' } })).status).toBe(204);
  expect((await ask('HEAD')).status).toBe(404);
  expect((await ask('DELETE', { headers: { [size]: '4' } })).status).toBe(204);
});

test('the node is asked for the bytes that a request needs', async () => {
  const wanted: (ByteRange | undefined)[] = [];
  class WatchedNode extends MemoryNode {
    override async open(
      bucket: string,
      name: string,
      options?: OpenOptions,
    ): Promise<ObjectReader | undefined> {
      const info = await super.info(bucket, name);
      if (info !== undefined) wanted.push(options?.wanted?.(info));
      return super.open(bucket, name);
    }
  }
  const ask = await open(new WatchedNode());
  const etag = String((await ask('PUT', { body: 'abcdef' })).headers.etag);
  const begun = await ask('POST', { target: '/bucket/copy?uploads=' });
  const uploadId = /<UploadId>(\w+)</.exec(begun.body)![1]!;
  const part = { target: `/bucket/copy?partNumber=1&uploadId=${uploadId}` };
  const source = { 'x-amz-copy-source': '/bucket/key' };
  const sourceRange = { ...source, 'x-amz-copy-source-range': 'bytes=1-2' };
  const range = { range: 'bytes=2-3' };
  const tagging = { target: '/bucket/key?tagging=' };
  for (const [method, rest, status, bytes] of [
    ['GET', {}, 200, undefined],
    ['GET', { headers: range }, 206, { startBytes: 2, endBytes: 4 }],
    ['GET', { headers: { ...range, 'if-range': '"x"' } }, 200, undefined],
    ['GET', { headers: { 'if-none-match': etag } }, 304, NO_BYTES],
    ['HEAD', { headers: range }, 206, NO_BYTES],
    ['GET', tagging, 200, NO_BYTES],
    ['PUT', { target: '/bucket/copy', headers: source }, 200, undefined],
    ['PUT', { ...part, headers: sourceRange }, 200, { startBytes: 1, endBytes: 3 }],
  ] as const) {
    expect((await ask(method, rest)).status).toBe(status);
    expect(wanted).toEqual([bytes]);
    wanted.length = 0;
  }
  // What the request itself says wrong is told where the node is asked.
  expect((await ask('GET', { headers: { range: 'bytes=6-' } })).code).toBe('InvalidRange');
  expect((await ask('GET', { headers: { 'if-match': '"x"' } })).code).toBe('PreconditionFailed');
  expect(wanted).toEqual([]);
});
