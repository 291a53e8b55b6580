import { expect, onTestFinished, test } from 'vitest';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import type { ObjectReader } from '../../examples/storage-node/src/object-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, etagOf, expectSame, SMALL } from './support/nodes.ts';

const PARTS = 16;
const EXTENTS = PARTS * 256;

async function openNode(): Promise<StorageNode> {
  const options = { ...SMALL, extentBytes: 4096, queueBytes: 2 ** 24, volumeBytes: 2 ** 24 };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files: new CrashFs() });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  return node;
}

/** Stores an object of parts with the same bytes. */
async function storeParts(node: StorageNode, piece: Uint8Array): Promise<void> {
  const description = { etag: etagOf(piece), meta: { headers: {} } };
  const { uploadId } = await node.createUpload('b', 'big', { headers: {} });
  const parts = Array.from({ length: PARTS }, (_, i) => ({ number: i + 1, etag: etagOf(piece) }));
  for (const { number } of parts) {
    await node.putPart(uploadId, number, [piece], { describe: () => description });
  }
  await node.completeUpload('b', 'big', uploadId, parts, description);
}

/** Counts the turns of the event loop until `call` resolves. */
async function turnsOf<T>(
  call: Promise<T>,
): Promise<{ readonly turns: number; readonly value: T }> {
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  try {
    return { value: await call, turns };
  } finally {
    isDone = true;
  }
}

async function expectParts(reader: ObjectReader, piece: Uint8Array): Promise<void> {
  let at = 0;
  for await (const bytes of reader.body()) {
    const from = at % piece.length;
    expectSame(bytes, piece.subarray(from, from + bytes.length));
    at += bytes.length;
  }
  expect(at).toBe(PARTS * piece.length);
}

test('an object of many extents is opened in turns of the event loop', async () => {
  const node = await openNode();
  const piece = bytesOf(2 ** 20);
  await storeParts(node, piece);
  const { turns, value } = await turnsOf(node.open('b', 'big'));
  expect(turns).toBeGreaterThanOrEqual(Math.floor(EXTENTS / 1_000) - 1);
  await expectParts(value!, piece);
});

test('an object of many extents is read as it was when it was opened', async () => {
  const node = await openNode();
  const piece = bytesOf(2 ** 20);
  await storeParts(node, piece);
  const end = { isReached: false };
  const gone = node.delete('b', 'big').then(() => (end.isReached = true));
  // The delete is published while some of them look up extents.
  const opens: Promise<ObjectReader | undefined>[] = [];
  while (!end.isReached) {
    opens.push(node.open('b', 'big'));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await gone;
  await node.compact();
  const readers = (await Promise.all(opens)).filter((reader) => reader !== undefined);
  expect(readers.length).toBeGreaterThan(0);
  for (const reader of readers) await expectParts(reader, piece);
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 0 });
});
