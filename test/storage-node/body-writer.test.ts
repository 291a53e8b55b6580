import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type BodyTarget,
  BodyWriter,
} from '../../examples/storage-node/src/objects/body-writer.ts';
import { ByteBudget } from '../../examples/storage-node/src/volumes/byte-budget.ts';
import { Appended } from '../../examples/storage-node/src/volumes/group-writer.ts';
import { Volume } from '../../examples/storage-node/src/volumes/volume.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { etagOf, expectSame, get, openNode } from './support/nodes.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** After two collections, because the first one only finds what may be freed. */
function usedBytes(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('a body in pieces of one byte takes about the memory that it counts', async () => {
  const node = await openNode(await temporaryDirectory(), { extentBytes: 2 ** 20 });
  await node.createBucket('b');
  const bytes = Buffer.from(Array.from({ length: 150_000 }, (_, i) => i % 251));
  let hold = (): void => {};
  let goOn = (): void => {};
  const isHeld = new Promise<void>((resolve) => (hold = resolve));
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const byte of bytes.subarray(1)) yield Uint8Array.of(byte);
    hold();
    await mayGoOn;
    yield bytes.subarray(0, 1);
  }
  const describe = () => ({ etag: etagOf(bytes), meta: { headers: {} } });
  const before = usedBytes();
  const stored = node.put('b', 'n', body(), { describe, sizeBytes: bytes.length });
  await isHeld;
  const grownBytes = usedBytes() - before;
  expect((await node.figures()).writes.queuedBytes).toBe(bytes.length - 1);
  goOn();
  await stored;
  expect(grownBytes).toBeLessThan(8 * 2 ** 20);
  expectSame(await get(node, 'b', 'n'), Buffer.concat([bytes.subarray(1), bytes.subarray(0, 1)]));
});

const QUEUE_BYTES = 400_000;

/** A body of these bytes, written as far as possible; its client then waits for `goOn`. */
async function stalledBody(bytes: Uint8Array, extentBytes = 2 ** 20) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const budget = new ByteBudget({ limitBytes: QUEUE_BYTES, maxWaiting: 8, maxWaitMs: 60_000 });
  const volume = new Volume({
    number: 1,
    kind: 'data',
    bucketId: 0,
    createdMs: 0,
    state: 'active',
    liveBytes: 0,
    endBytes: 4096,
    newestMs: 0,
    markBytes: 0,
  });
  const written: number[] = [];
  const target: BodyTarget = {
    budget,
    extentBytes,
    takeSerial: () => 1,
    store: async (pieces, sizeBytes) => ({ pieces, bodyBytes: sizeBytes }),
    append: async ({ lengthBytes }) => {
      written.push(lengthBytes);
      return new Appended(volume, 4096, lengthBytes, 8192);
    },
    bucketId: 1,
    name: Buffer.from('n'),
    timeMs: 0,
    maxBytes: 2 ** 30,
    space: { promise: () => {}, settle: () => {} },
    inExtents: false,
  };
  const writer = new BodyWriter(target);
  let hold = (): void => {};
  let goOn = (): void => {};
  const isHeld = new Promise<void>((resolve) => (hold = resolve));
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  async function* body(): AsyncGenerator<Uint8Array> {
    yield bytes;
    hold();
    await mayGoOn;
    yield bytes;
  }
  const taken = writer.take(body(), {});
  await isHeld;
  // Its writes are done.
  await new Promise((resolve) => setImmediate(resolve));
  const end = async () => {
    goOn();
    const result = await taken;
    await writer.release();
    return result;
  };
  return { budget, written, end };
}

test('what a stalled body holds is written at once where others wait, from 256 KiB on', async () => {
  const { budget, written, end } = await stalledBody(Buffer.alloc(262_144));
  expect(budget.usedBytes).toBe(262_144);
  await budget.take(200_000, true);
  expect(written).toHaveLength(1);
  expect(budget.usedBytes).toBe(200_000);
  budget.give(200_000);
  expect(await end()).toMatchObject({ kind: 'extents', sizeBytes: 524_288 });
  expect(written).toHaveLength(2);
  expect(budget).toMatchObject({ usedBytes: 0, waiting: 0 });
});

test('if it holds less, it is written after a second, if others still wait then', async () => {
  const { budget, written, end } = await stalledBody(Buffer.alloc(100_000));
  expect(budget.tryTake(300_000)).toBe(true);
  const early = budget.take(50_000, true);
  budget.give(300_000);
  await early;
  vi.advanceTimersByTime(1_000);
  expect(written).toEqual([]);
  const late = budget.take(300_000, true);
  vi.advanceTimersByTime(999);
  expect([written.length, budget.waiting]).toEqual([0, 1]);
  vi.advanceTimersByTime(1);
  await late;
  expect(written).toHaveLength(1);
  budget.give(350_000);
  expect(await end()).toMatchObject({ kind: 'extents', sizeBytes: 200_000 });
  expect(budget).toMatchObject({ usedBytes: 0, waiting: 0 });
});

test('a body that nobody waits for stays in memory', async () => {
  const { budget, written, end } = await stalledBody(Buffer.alloc(100_000));
  vi.advanceTimersByTime(60_000);
  expect(await end()).toMatchObject({ kind: 'pieces', sizeBytes: 200_000 });
  expect(written).toEqual([]);
  expect(budget.usedBytes).toBe(0);
});

test('a body of many extents is not divided into very small ones', async () => {
  const { budget, written, end } = await stalledBody(Buffer.alloc(2_565), 10);
  expect(written).toHaveLength(256);
  const waiting = budget.take(QUEUE_BYTES, true);
  vi.advanceTimersByTime(10_000);
  expect([written.length, budget.waiting]).toEqual([256, 1]);
  const ended = end();
  await waiting;
  budget.give(QUEUE_BYTES);
  expect(await ended).toMatchObject({ kind: 'extents', sizeBytes: 5_130 });
});
