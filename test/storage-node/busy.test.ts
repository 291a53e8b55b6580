import { expect, test } from 'vitest';
import { BusyError } from '../../examples/storage-node/src/node-errors.ts';
import { ByteBudget } from '../../examples/storage-node/src/volumes/byte-budget.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, etagOf, expectSame, get, openNode, put } from './support/nodes.ts';

test('bytes are given in the order in which they were asked for, and a long line refuses', async () => {
  const budget = new ByteBudget({ limitBytes: 100, maxWaiting: 2, maxWaitMs: 60_000 });
  expect(budget.tryTake(80)).toBe(true);
  expect(budget.tryTake(30)).toBe(false);
  const order: string[] = [];
  const large = budget.take(90, true).then(() => order.push('large'));
  // It would fit, but others were first.
  const small = budget.take(10, true).then(() => order.push('small'));
  await expect(budget.take(1, true)).rejects.toThrow(BusyError);
  // One of which something was taken already is never refused.
  const late = budget.take(5, false).then(() => order.push('late'));
  expect(budget).toMatchObject({ usedBytes: 80, waiting: 3, refused: 1 });
  budget.give(80);
  await Promise.all([large, small]);
  expect(order).toEqual(['large', 'small']);
  budget.give(90);
  await late;
  budget.give(15);
  expect(budget).toMatchObject({ usedBytes: 0, waiting: 0 });
  // More than there is at all is taken alone.
  expect(budget.tryTake(1_000)).toBe(true);
});

test('who waits too long is refused, and makes way for those behind', async () => {
  const budget = new ByteBudget({ limitBytes: 100, maxWaiting: 8, maxWaitMs: 1 });
  expect(budget.tryTake(60)).toBe(true);
  const refused = budget.take(90, true).catch((error: unknown) => error);
  const granted = budget.take(40, false);
  expect(await refused).toBeInstanceOf(BusyError);
  await granted;
  expect(budget).toMatchObject({ usedBytes: 100, waiting: 0, refused: 1 });
});

test('a node whose queue is full refuses bodies as busy, and takes them when there is room', async () => {
  const options = { queueBytes: 64 * 1024, maxWaiting: 0 };
  const node = await openNode(await temporaryDirectory(), options);
  await node.createBucket('b');
  const [first, second] = [bytesOf(60_000), bytesOf(60_000)];
  let goOn = (): void => {};
  let hold = (): void => {};
  const isHeld = new Promise<void>((resolve) => (hold = resolve));
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield first;
    hold();
    await mayGoOn;
  }
  const describe = () => ({ etag: etagOf(first), meta: { headers: {} } });
  const slowly = node.put('b', 'first', slow(), { describe });
  await isHeld;
  expect((await node.figures()).writes.queuedBytes).toBe(60_000);
  await expect(put(node, 'b', 'second', second)).rejects.toMatchObject({
    code: 'BUSY',
    retryAfterMs: 1_000,
  });
  goOn();
  await slowly;
  await put(node, 'b', 'second', second);
  expectSame(await get(node, 'b', 'first'), first);
  expectSame(await get(node, 'b', 'second'), second);
});

test('uploads whose clients have stopped sending give up the memory that others wait for', async () => {
  const options = { queueBytes: 2 ** 20, extentBytes: 2 ** 20 };
  const node = await openNode(await temporaryDirectory(), options);
  await node.createBucket('b');
  let goOn = (): void => {};
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  async function* slow(bytes: Buffer): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 300_000);
    await mayGoOn;
    yield bytes.subarray(300_000);
  }
  // Together they are longer than the queue.
  const bodies = Array.from({ length: 4 }, () => bytesOf(310_000));
  const stalled = bodies.map((bytes, i) => {
    const describe = () => ({ etag: etagOf(bytes), meta: { headers: {} } });
    return node.put('b', `stalled-${i}`, slow(bytes), { describe });
  });
  const other = bytesOf(300_000);
  await put(node, 'b', 'other', other);
  expect((await node.figures()).writes.queuedBytes).toBeLessThan(2 ** 20);
  goOn();
  await Promise.all(stalled);
  expectSame(await get(node, 'b', 'other'), other);
  for (const [i, bytes] of bodies.entries()) {
    expectSame(await get(node, 'b', `stalled-${i}`), bytes);
  }
});
