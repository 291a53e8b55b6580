import { expect, onTestFinished, test, vi } from 'vitest';
import { checkedOptions } from '../../examples/storage-node/src/node-options.ts';
import { NO_BYTES, type ByteRange } from '../../examples/storage-node/src/object-node.ts';
import { ObjectFinder } from '../../examples/storage-node/src/objects/object-finder.ts';
import { openParts } from '../../examples/storage-node/src/opening.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, etagOf, expectSame, SMALL } from './support/nodes.ts';

const PARTS = 200;
const PART_BYTES = 10_000;
const OPTIONS = { ...SMALL, extentBytes: 4096 };

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('a range looks up the extents with its bytes, and not all of an object of many parts', async () => {
  const environment = { ...MACHINE, files: new CrashFs() };
  const node = await StorageNode.open('/node', OPTIONS, environment);
  await node.createBucket('b');
  const { uploadId } = await node.createUpload('b', 'n', { headers: {} });
  const bytes = bytesOf(PARTS * PART_BYTES);
  const named: { number: number; etag: string }[] = [];
  for (let number = 1; number <= PARTS; number++) {
    const body = bytes.subarray((number - 1) * PART_BYTES, number * PART_BYTES);
    const describe = () => ({ etag: etagOf(body), meta: { headers: {} } });
    named.push(await node.putPart(uploadId, number, [body], { describe }));
  }
  const description = { etag: `${'a'.repeat(32)}-${PARTS}`, meta: { headers: {} } };
  await node.completeUpload('b', 'n', uploadId, named, description);
  await node.close();

  const { parts } = await openParts('/node', checkedOptions(OPTIONS), environment);
  const { names, store, volumes, writers } = parts;
  onTestFinished(async () => {
    await names.folds.close();
    await writers.close();
    await volumes.close();
    await store.close();
  });
  const gets = vi.spyOn(store, 'get');
  const finder = new ObjectFinder(parts);
  const open = async (wanted: ByteRange | undefined) => {
    gets.mockClear();
    const reader = (await finder.open('b', 'n', { wanted: () => wanted }))!;
    return { reader, lookups: gets.mock.calls.length };
  };
  for (const [startBytes, endBytes] of [
    [0, 1],
    [4_095, 4_097],
    [9_999, 10_001],
    [1_005_000, 1_005_001],
    [1_999_999, 2_000_000],
  ] as const) {
    const { reader, lookups } = await open({ startBytes, endBytes });
    // The object, its content, and the extents of one or two parts up to the range.
    expect(lookups).toBeLessThan(10);
    const found = await collect(reader.body({ startBytes, endBytes }));
    expectSame(found, bytes.subarray(startBytes, endBytes));
  }
  const { reader, lookups } = await open(NO_BYTES);
  expect(lookups).toBeLessThan(4);
  expect(reader.details.parts).toHaveLength(PARTS);
  await expect(collect(reader.body({ startBytes: 0, endBytes: 1 }))).rejects.toThrow(RangeError);
  const whole = await open(undefined);
  expect(whole.lookups).toBeGreaterThan(3 * PARTS);
  expectSame(await collect(whole.reader.body()), bytes);
});
