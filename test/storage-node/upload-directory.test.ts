import { expect, onTestFinished, test } from 'vitest';
import type { UploadListOptions } from '../../examples/storage-node/src/object-node.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, etagOf, put, SMALL } from './support/nodes.ts';

const META = { headers: {} };
/** One upload is read for each that a page has, and for the one that the page begins after. */
const PAGE = 10;

async function openOn(files: CrashFs): Promise<StorageNode> {
  const node = await StorageNode.open('/node', SMALL, { ...MACHINE, files });
  onTestFinished(() => node.close().catch(() => undefined));
  return node;
}

async function upload(node: StorageNode, bucket: string, name: string): Promise<string> {
  const { uploadId } = await node.createUpload(bucket, name, META);
  const body = bytesOf(100);
  const describe = () => ({ etag: etagOf(body), meta: META });
  await node.putPart(uploadId, 1, [body], { describe });
  return uploadId;
}

async function allOf(
  node: StorageNode,
  bucket: string,
  options: UploadListOptions = {},
): Promise<string[]> {
  const found: string[] = [];
  let more: UploadListOptions = options;
  for (;;) {
    const page = await node.uploads(bucket, { limit: PAGE, ...more });
    found.push(
      ...page.prefixes,
      ...page.uploads.map(({ name, uploadId }) => `${name} ${uploadId}`),
    );
    if (page.next === undefined) return found;
    more = { ...options, after: page.next.name, afterUploadId: page.next.uploadId };
  }
}

test('uploads are listed by name, then by id, page after page, before and after an open', async () => {
  const files = new CrashFs();
  const node = await openOn(files);
  await node.createBucket('b');
  await node.createBucket('other');
  const expected: string[] = [];
  for (const name of ['b', 'a/2', 'é', 'a/1', 'b', 'a', 'b', 'a/1']) {
    for (let i = 0; i < 4; i++) expected.push(`${name} ${await upload(node, 'b', name)}`);
  }
  await upload(node, 'other', 'a');
  const byBytes = (one: string, other: string): number =>
    Buffer.compare(Buffer.from(one.replace(' ', '\0')), Buffer.from(other.replace(' ', '\0')));
  expected.sort(byBytes);
  expect(await allOf(node, 'b')).toEqual(expected);
  expect(await allOf(node, 'b', { prefix: 'a/' })).toEqual(
    expected.filter((line) => line.startsWith('a/')),
  );
  const [aborted] = expected;
  await node.abortUpload(aborted!.split(' ')[1]!);
  const left = expected.slice(1);
  expect(await allOf(node, 'b')).toEqual(left);
  await node.close();
  const again = await openOn(files);
  expect(await allOf(again, 'b')).toEqual(left);
  expect((await again.uploads('b', { delimiter: '/' })).prefixes).toEqual(['a/']);
  await again.deleteBucket('b');
  expect(await allOf(again, 'other')).toHaveLength(1);
});

test('an upload that was completed is no longer listed', async () => {
  const node = await openOn(new CrashFs());
  await node.createBucket('b');
  const body = bytesOf(100);
  const { uploadId } = await node.createUpload('b', 'n', META);
  const { etag } = await node.putPart(uploadId, 1, [body], {
    describe: () => ({ etag: etagOf(body), meta: META }),
  });
  const kept = await upload(node, 'b', 'n');
  const description = { etag: `${etagOf(body)}-1`, meta: META };
  await node.completeUpload('b', 'n', uploadId, [{ number: 1, etag }], description);
  expect(await allOf(node, 'b')).toEqual([`n ${kept}`]);
});

test('an eviction ends each upload of which it drops a part, and no other', async () => {
  const files = new CrashFs();
  const node = await openOn(files);
  await node.createBucket('c', { mode: 'cache' });
  const dropped: string[] = [];
  for (let i = 0; i < 20; i++)
    dropped.push(await upload(node, 'c', i % 2 === 0 ? 'same' : `n${i}`));
  const { uploadId: empty } = await node.createUpload('c', 'same', META);
  await put(node, 'c', 'object', bytesOf(100));
  await node.settled();
  expect(await node.evict('c')).toBeDefined();
  expect(await allOf(node, 'c')).toEqual([`same ${empty}`]);
  for (const id of dropped)
    await expect(node.parts(id)).rejects.toMatchObject({ code: 'NO_SUCH_UPLOAD' });
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true });
});
