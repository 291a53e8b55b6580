import { expect, onTestFinished, test } from 'vitest';
import {
  NO_BYTES,
  type ByteRange,
  type ObjectReader,
  type OpenOptions,
} from '../../../examples/storage-node/src/object-node.ts';
import { MemoryNode } from '../support/memory-node.ts';
import { openWorld } from '../support/s3-world.ts';
import { send } from '../support/signed-request.ts';

const MIB = 2 ** 20;

/** Records which bytes callers want, and refuses others, as a node that looks up their places. */
class PlacesNode extends MemoryNode {
  readonly wanted: (ByteRange | undefined)[] = [];
  afterOpen: () => Promise<void> = async () => {};

  override async open(
    bucket: string,
    name: string,
    options: OpenOptions = {},
  ): Promise<ObjectReader | undefined> {
    const reader = await super.open(bucket, name);
    if (reader === undefined) return undefined;
    const wanted = options.wanted?.(reader.details);
    this.wanted.push(wanted);
    await this.afterOpen();
    const body: ObjectReader['body'] = (range) => {
      const { startBytes, endBytes } = wanted ?? range ?? { startBytes: 0, endBytes: Infinity };
      expect(range?.startBytes ?? 0).toBeGreaterThanOrEqual(startBytes);
      expect(range?.endBytes ?? Infinity).toBeLessThanOrEqual(endBytes);
      return reader.body(range);
    };
    return { ...reader, body };
  }
}

async function open(partBytes: number) {
  const node = new PlacesNode();
  const world = await openWorld({}, node);
  onTestFinished(() => world.close());
  await node.createBucket('bucket');
  const store = async (fill: string): Promise<void> => {
    const { uploadId } = await node.createUpload('bucket', 'key', { headers: {} });
    const describe = () => ({ etag: fill.repeat(32), meta: { headers: {} } });
    const parts = [1, 2, 3].map((number) =>
      node.putPart(uploadId, number, [Buffer.alloc(partBytes, `${number}`)], { describe }),
    );
    const description = { etag: `${fill.repeat(32)}-3`, meta: { headers: {} } };
    await node.completeUpload('bucket', 'key', uploadId, await Promise.all(parts), description);
  };
  await store('a');
  const get = (headers: Record<string, string> = {}) =>
    send(world.url, { method: 'GET', target: '/bucket/key?partNumber=2', headers });
  return { node, get, store };
}

test('a part of a long object is read without the places of the others', async () => {
  const { node, get } = await open(3 * MIB);
  const answer = await get();
  expect([answer.status, answer.body === '2'.repeat(3 * MIB)]).toEqual([206, true]);
  expect(node.wanted).toEqual([NO_BYTES, { startBytes: 3 * MIB, endBytes: 6 * MIB }]);
  const headers = { 'if-none-match': answer.headers.etag! };
  expect(await get(headers)).toMatchObject({ status: 304 });
  expect(node.wanted.slice(2)).toEqual([NO_BYTES, NO_BYTES]);
  expect(node.openReaders).toBe(0);
});

test('a part of a short object is read at once', async () => {
  const { node, get } = await open(1000);
  expect(await get()).toMatchObject({ status: 206, body: '2'.repeat(1000) });
  expect([node.wanted, node.openReaders]).toEqual([[undefined], 0]);
});

test('a part of an object that is replaced meanwhile is that of the new one', async () => {
  const { node, get, store } = await open(3 * MIB);
  node.afterOpen = () => {
    node.afterOpen = async () => {};
    return store('b');
  };
  const answer = await get();
  expect(answer).toMatchObject({ status: 206, headers: { etag: `"${'b'.repeat(32)}-3"` } });
  expect(answer.body === '2'.repeat(3 * MIB)).toBe(true);
  expect([node.wanted, node.openReaders]).toEqual([[NO_BYTES, undefined], 0]);
});
