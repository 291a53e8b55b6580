import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { BodyReader } from '../../../examples/storage-node/src/s3/payload/body-reader.ts';
import { ChunkDecoder } from '../../../examples/storage-node/src/s3/payload/chunk-decoder.ts';
import { RequestBody } from '../../../examples/storage-node/src/s3/payload/request-body.ts';
import { frame } from '../support/framing.ts';
import { etagOf, expectSame } from '../support/nodes.ts';

/** A reader of a body that has arrived in pieces of this length, and has ended. */
function arrived(wire: Buffer, pieceBytes: number): BodyReader {
  const source = Object.assign(new Readable({ read: () => {} }), { complete: false });
  const reader = new BodyReader(source, Date.now);
  for (let at = 0; at < wire.length; at += pieceBytes) {
    source.emit('data', wire.subarray(at, at + pieceBytes));
  }
  source.emit('end');
  return reader;
}

test('bytes that arrive one by one wait in few pieces', async () => {
  const sent = randomBytes(100_000);
  const reader = arrived(sent, 1);
  const pieces: Uint8Array[] = [];
  for (let piece = await reader.next(); piece !== undefined; piece = await reader.next()) {
    pieces.push(piece);
  }
  expectSame(Buffer.concat(pieces), sent);
  expect(pieces.length).toBeLessThan(10);
  expect(reader.receivedBytes).toBe(sent.length);
});

test.each([
  ['a gathered body', 10_000],
  ['a streamed body', 100_000],
])('%s in chunks of one byte has few pieces', async (_, contentBytes) => {
  const content = randomBytes(contentBytes);
  const wire = frame(Array.from(content, (byte) => Uint8Array.of(byte)));
  const decoder = new ChunkDecoder({ hasTrailer: false, contentBytes });
  const plan = { wireBytes: wire.length, contentBytes, decoder };
  const body = new RequestBody(arrived(wire, 65_536), plan, 2 ** 30);
  const pieces: Uint8Array[] = [];
  for await (const piece of await body.content()) pieces.push(piece);
  expectSame(Buffer.concat(pieces), content);
  expect(pieces.length).toBeLessThan(30);
  const { sizeBytes, md5 } = await body.verify();
  expect([sizeBytes, md5.toString('hex')]).toEqual([contentBytes, etagOf(content)]);
});

test('after a failure, nothing that waits is kept, and the source is not paused again', async () => {
  const source = Object.assign(new Readable({ read: () => {} }), { complete: false });
  const reader = new BodyReader(source, Date.now);
  source.emit('data', Buffer.alloc(300_000));
  expect(source.isPaused()).toBe(true);
  reader.fail(new Error('refused'));
  expect(source.isPaused()).toBe(false);
  source.emit('data', Buffer.alloc(300_000));
  expect(source.isPaused()).toBe(false);
  reader.fail(new Error('later'));
  source.emit('end');
  await expect(reader.next()).rejects.toThrow('refused');
  expect(reader.receivedBytes).toBe(600_000);
});
