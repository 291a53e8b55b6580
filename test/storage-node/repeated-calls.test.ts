import { expect, onTestFinished, test } from 'vitest';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, put, SMALL } from './support/nodes.ts';

const MIB = 2 ** 20;
/** Far more than one turn of the event loop takes. */
const MOST_TRIES = 2_000;

/** A node whose disk has less room than the reserve: it takes no body. */
async function openFull(): Promise<StorageNode> {
  const files = new CrashFs({ capacityBytes: 3 * MIB });
  const options = { ...SMALL, reserveBytes: 2.5 * MIB, upkeepMs: 0 };
  return opened(files, options);
}

async function opened(files: CrashFs, options: typeof SMALL): Promise<StorageNode> {
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  await node.createBucket('d', { mode: 'keep', acknowledge: 'deferred' });
  await node.settled();
  return node;
}

const REFUSED: Record<string, (node: StorageNode, uploadId: string) => Promise<unknown>> = {
  'a PUT without space': (node) => put(node, 'b', 'n', bytesOf(100)),
  'a deferred PUT without space': (node) => put(node, 'd', 'n', bytesOf(100)),
  'a PUT whose condition fails': (node) =>
    put(node, 'b', 'n', bytesOf(100), undefined, { condition: { ifMatch: '*' } }),
  'a PUT to no bucket': (node) => put(node, 'none', 'n', bytesOf(100)),
  'a part without space': (node, uploadId) =>
    node.putPart(uploadId, 1, [bytesOf(100)], { describe: () => ({ etag: '', meta: NO_META }) }),
  'a part of no upload': (node) =>
    node.putPart('none', 1, [bytesOf(100)], { describe: () => ({ etag: '', meta: NO_META }) }),
  'a delete of nothing': (node) => node.delete('b', 'n'),
  'a delete whose condition fails': (node) =>
    node.delete('b', 'n', { condition: { ifMatch: '*' } }),
  'new metadata of nothing': (node) => node.setMeta('b', 'n', () => NO_META),
  'the end of no upload': (node) =>
    node.completeUpload('b', 'n', 'none', [], { etag: '', meta: NO_META }),
};
const NO_META = { headers: {} };

async function hasTurns(call: () => Promise<unknown>): Promise<boolean> {
  const turns = { count: 0 };
  setImmediate(() => turns.count++);
  for (let tries = 0; turns.count === 0 && tries < MOST_TRIES; tries++) {
    await call().catch(() => undefined);
  }
  return turns.count > 0;
}

test.each(Object.keys(REFUSED))(
  'callers that repeat %s at once leave turns to the event loop',
  async (what) => {
    const node = await openFull();
    const { uploadId } = await node.createUpload('b', 'u', NO_META);
    expect(await hasTurns(() => REFUSED[what]!(node, uploadId))).toBe(true);
  },
);

test('callers that replace a deferred object at once leave turns to the event loop', async () => {
  const node = await opened(new CrashFs(), SMALL);
  expect(await hasTurns(() => put(node, 'd', 'n', bytesOf(100)))).toBe(true);
});
