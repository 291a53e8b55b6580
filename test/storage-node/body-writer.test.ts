import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
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
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
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
