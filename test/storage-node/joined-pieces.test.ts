import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { JoinedPieces } from '../../examples/storage-node/src/joined-pieces.ts';
import { expectSame } from './support/nodes.ts';

test.each([
  ['nothing', []],
  ['one piece', [5]],
  ['small ones up to the end of a buffer', [4095, 1, 1, 1]],
  ['a small one over the end of a buffer', [3000, 3000, 4095, 4095, 4095]],
  ['small ones between large ones', [4096, 1, 4096, 1, 1, 4096, 0, 70_000, 3, 3, 3]],
  ['only small ones', Array.from({ length: 3000 }, (_, i) => i % 100)],
])('taken at once or one by one, the pieces have all bytes in order: %s', (_, sizes) => {
  const sent = sizes.map((size) => randomBytes(size));
  const [together, single] = [new JoinedPieces(), new JoinedPieces()];
  for (const piece of sent) {
    together.push(piece);
    single.push(piece);
  }
  const taken = together.take();
  expectSame(Buffer.concat(taken), Buffer.concat(sent));
  expect(together.take()).toEqual([]);
  const shifted: Uint8Array[] = [];
  for (let piece = single.shift(); piece !== undefined; piece = single.shift()) shifted.push(piece);
  expect(shifted.map(({ length }) => length)).toEqual(taken.map(({ length }) => length));
  expectSame(Buffer.concat(shifted), Buffer.concat(sent));
});

test('a large piece is not copied, and neither is a small one alone', () => {
  const pieces = new JoinedPieces();
  const sent = [randomBytes(10), randomBytes(5000), randomBytes(20), randomBytes(4096)];
  for (const piece of sent) pieces.push(piece);
  for (const [i, piece] of pieces.take().entries()) expect(piece).toBe(sent[i]);
});

test('pieces of one byte become few, which keep no memory besides their own', () => {
  const pieces = new JoinedPieces();
  for (let i = 0; i < 300_000; i++) pieces.push(Uint8Array.of(i));
  const taken = pieces.take();
  expect(taken.length).toBeLessThan(10);
  for (const { length, buffer } of taken) expect(buffer.byteLength).toBeLessThanOrEqual(2 * length);
});

test('bytes that were taken stay as they are while others arrive', () => {
  const pieces = new JoinedPieces();
  const taken: Uint8Array[] = [];
  for (let i = 0; i < 10_000; i++) {
    pieces.push(Uint8Array.of(i));
    if (i % 7 === 0) taken.push(...pieces.take());
    if (i % 7 === 3) taken.push(pieces.shift()!);
  }
  taken.push(...pieces.take());
  const sent = Uint8Array.from({ length: 10_000 }, (_, i) => i);
  expectSame(Buffer.concat(taken), sent);
  expect(taken.length).toBeGreaterThan(1_000);
});
