import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { BLOCK_BYTES } from '../../examples/storage-node/src/volumes/block-table.ts';
import { encodeInPieces, encodeRecord } from '../../examples/storage-node/src/volumes/record.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { expectSame, get, openNode, put, bytesOf } from './support/nodes.ts';

function contentOf(body: readonly Uint8Array[]): Parameters<typeof encodeRecord>[0] {
  const bodyBytes = body.reduce((sum, piece) => sum + piece.length, 0);
  return {
    kind: 'object',
    sequence: 2 ** 33,
    key: 5n,
    bucketId: 1,
    sizeBytes: bodyBytes,
    timeMs: 1_700_000_000_000,
    name: Buffer.from('name'),
    meta: Buffer.from('{}'),
    body,
    bodyBytes,
  };
}

test.each([
  ['none', []],
  ['small', [1000]],
  ['one block', [BLOCK_BYTES]],
  ['pieces across the ends of blocks', [40_000, 50_000, 1, 60_001]],
  ['pieces of several blocks', [3 * BLOCK_BYTES + 7, 2 * BLOCK_BYTES]],
  ['many small pieces', Array.from({ length: 1000 }, () => 100)],
])('a record in pieces has the bytes of one in a whole: %s', (_, sizes) => {
  const content = contentOf(sizes.map((size) => randomBytes(size)));
  const { head, rest, lengthBytes } = encodeInPieces(content);
  const whole = encodeRecord(content);
  expect(lengthBytes).toBe(whole.length);
  expectSame(Buffer.concat([head, ...rest]), whole);
});

test('a large body is not copied, one of small pieces is', () => {
  const large = randomBytes(100_000);
  expect(encodeInPieces(contentOf([large])).rest[0]).toBe(large);
  const small = Array.from({ length: 1000 }, () => randomBytes(100));
  expect(encodeInPieces(contentOf(small)).rest).toEqual([]);
});

test('a body that was read with its record is at hand, in whole and in ranges', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory, { extentBytes: 2 ** 18 });
  await node.createBucket('b');
  for (const size of [1, 1024, BLOCK_BYTES, BLOCK_BYTES + 1, 120_000, 140_000, 300_000]) {
    const name = `of-${size}`;
    const bytes = bytesOf(size);
    await put(node, 'b', name, bytes);
    expectSame(await get(node, 'b', name), bytes);
    const reader = await node.open('b', name);
    for (const range of [undefined, ...rangesOf(size)]) {
      const held = reader?.heldBody?.(range);
      // Records up to 128 KiB are read with one call.
      expect(held === undefined).toBe(size > 2 ** 17);
      if (held === undefined) continue;
      expectSame(held, bytes.subarray(range?.startBytes ?? 0, range?.endBytes ?? size));
    }
    reader?.close();
  }
});

function rangesOf(size: number): { readonly startBytes: number; readonly endBytes: number }[] {
  return [
    { startBytes: size - 1, endBytes: size },
    { startBytes: 0, endBytes: Math.min(10, size) },
    { startBytes: Math.floor(size / 2), endBytes: Math.min(size, Math.floor(size / 2) + 100) },
  ];
}
