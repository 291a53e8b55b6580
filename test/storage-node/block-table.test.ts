import { crc32c } from '@node-rs/crc32';
import { randomBytes } from 'node:crypto';
import zstd from 'zstd-napi/binding.js';
import { expect, test } from 'vitest';
import {
  BlockTable,
  tableLength,
  writeTable,
} from '../../examples/storage-node/src/volumes/block-table.ts';
import {
  bodyOffset,
  encodeRecord,
  HeaderSeal,
  isRecordSound,
  lengthOfRecord,
} from '../../examples/storage-node/src/volumes/record.ts';
import {
  compressBody,
  contentOfBlock,
} from '../../examples/storage-node/src/volumes/stored-body.ts';
import { loadZstd } from '../../examples/storage-node/src/volumes/zstd.ts';

const BLOCK = 65_536;
const SEED = 7;

/** The table of stored blocks, with valid checksums. */
function forged(
  blocks: readonly Uint8Array[],
  lengths = blocks.map(({ length }) => length),
): Buffer {
  const bytes = Buffer.alloc(8 * blocks.length + 4);
  const sums = blocks.map((block) => crc32c(Buffer.from(block), SEED));
  writeTable(bytes, 0, lengths, sums, SEED);
  return bytes;
}

function tableOf(blocks: readonly Uint8Array[], sizeBytes: number, lengths?: number[]) {
  const bodyBytes = blocks.reduce((sum, { length }) => sum + length, 0);
  return BlockTable.read(forged(blocks, lengths), { sizeBytes, bodyBytes, seed: SEED });
}

test('a table gives the place of each block without the others', () => {
  const blocks = [Buffer.alloc(100), Buffer.alloc(BLOCK), Buffer.alloc(5)];
  const table = tableOf(blocks, 2 * BLOCK + 9)!;
  expect([0, 1, 2, 3].map((i) => table.startOf(i))).toEqual([0, 100, BLOCK + 100, BLOCK + 105]);
  expect([0, 1, 2].map((i) => table.lengthOf(i))).toEqual([100, BLOCK, 5]);
  expect([0, 1, 2].map((i) => table.contentOf(i))).toEqual([BLOCK, BLOCK, 9]);
  expect([0, 1, 2].map((i) => table.isCompressed(i))).toEqual([true, false, true]);
  expect(tableLength(2 * BLOCK + 9)).toBe(28);
});

test('a table with valid checksums that fits no such body is refused', () => {
  const blocks = [Buffer.alloc(100), Buffer.alloc(200)];
  const sizeBytes = BLOCK + 300;
  expect(tableOf(blocks, sizeBytes)).toBeDefined();
  // The lengths are off by one.
  expect(tableOf(blocks, sizeBytes, [100, 201])).toBeUndefined();
  expect(tableOf(blocks, sizeBytes, [99, 200])).toBeUndefined();
  // A block is longer than its content.
  expect(tableOf([Buffer.alloc(100), Buffer.alloc(301)], sizeBytes)).toBeUndefined();
  expect(tableOf([Buffer.alloc(BLOCK + 1), Buffer.alloc(1)], sizeBytes)).toBeUndefined();
  // A block is missing or empty, or there is one more.
  expect(tableOf([Buffer.alloc(300)], sizeBytes)).toBeUndefined();
  expect(tableOf([Buffer.alloc(300), Buffer.alloc(0)], sizeBytes)).toBeUndefined();
  expect(tableOf([...blocks, Buffer.alloc(1)], sizeBytes)).toBeUndefined();
  // The seed of another record.
  const table = forged(blocks);
  expect(BlockTable.read(table, { sizeBytes, bodyBytes: 300, seed: SEED + 1 })).toBeUndefined();
});

async function contentOf(frame: Buffer, sizeBytes: number): Promise<Buffer | undefined> {
  return contentOfBlock(tableOf([frame], sizeBytes)!, 0, frame);
}

function frameOf(content: Buffer): Buffer {
  const target = Buffer.alloc(zstd.compressBound(content.length));
  return target.subarray(0, new zstd.CCtx().compress(target, content, 1));
}

test('a frame with a valid checksum has the content of its block, or is refused', async () => {
  const content = Buffer.alloc(BLOCK, 'abc ');
  expect((await contentOf(frameOf(content), BLOCK))!.equals(content)).toBe(true);
  for (const length of [0, 1, BLOCK - 1, BLOCK + 1, 2 * BLOCK]) {
    expect(await contentOf(frameOf(Buffer.alloc(length)), BLOCK), `${length}`).toBeUndefined();
  }
  expect(await contentOf(randomBytes(500), BLOCK)).toBeUndefined();
  expect(await contentOf(frameOf(content).subarray(0, -1), BLOCK)).toBeUndefined();
  const two = Buffer.concat([frameOf(content), frameOf(content)]);
  expect(await contentOf(two, BLOCK)).toBeUndefined();
});

test('a frame that declares more than a block allocates no more than a block', async () => {
  const library = await loadZstd();
  const frame = frameOf(Buffer.alloc(256 * 2 ** 20));
  // The same content without its length in the header: it is found out while decompressing.
  const context = new zstd.CCtx();
  context.setParameter(zstd.CParameter.contentSizeFlag, 0);
  const unknown = Buffer.alloc(2 ** 20);
  const length = context.compress2(unknown, Buffer.alloc(16 * 2 ** 20));
  for (const forgedFrame of [frame, unknown.subarray(0, length)]) {
    const before = process.memoryUsage();
    for (let i = 0; i < 20; i++) expect(library.decompress(forgedFrame, BLOCK)).toBeUndefined();
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThanOrEqual(20 * BLOCK);
    expect(after.rss - before.rss).toBeLessThan(64 * 2 ** 20);
  }
});

test('every flipped bit of a compressed record is noticed', async () => {
  const half = randomBytes(400);
  const text = Buffer.concat([half, half]);
  const body = await compressBody([text], text.length);
  expect(body.bodyBytes).toBeLessThan(600);
  const record = encodeRecord({
    kind: 'object',
    sequence: 5,
    key: 9n,
    bucketId: 1,
    sizeBytes: text.length,
    timeMs: 1,
    name: Buffer.from('name'),
    meta: Buffer.from('{"e":"0"}'),
    body: body.pieces,
    bodyBytes: body.bodyBytes,
    blockLengths: body.blockLengths,
  });
  const seal = new HeaderSeal(new Uint8Array(16), 1);
  seal.place(record, 0, 4096);
  const header = seal.read(record, 0, 4096)!;
  expect(lengthOfRecord(header)).toBe(record.length);
  expect(isRecordSound(header, record)).toBe(true);
  const end = bodyOffset(header) + header.bodyBytes + tableLength(text.length);
  expect(record.length - end).toBeLessThan(8);
  for (let at = 0; at < end; at++) {
    for (let bit = 0; bit < 8; bit++) {
      record[at]! ^= 1 << bit;
      const found = seal.read(record, 0, 4096);
      const isSound = found !== undefined && isRecordSound(found, record);
      expect(isSound, `byte ${at}`).toBe(false);
      record[at]! ^= 1 << bit;
    }
  }
});

test('a record with unknown flags is of a later version', () => {
  const seal = new HeaderSeal(new Uint8Array(16), 1);
  const fields = { sequence: 1, key: 0n, bucketId: 1, sizeBytes: 0, timeMs: 0, bodyBytes: 0 };
  const record = encodeRecord({
    ...fields,
    kind: 'object',
    name: Buffer.from('n'),
    meta: Buffer.alloc(0),
    body: [],
  });
  for (const [place, value] of [
    [9, 3],
    [9, 4],
    [9, 0x80],
    [8, 7],
  ] as const) {
    const changed = Buffer.from(record);
    changed[place] = value;
    seal.place(changed, 0, 4096);
    expect(seal.read(changed, 0, 4096)).toBeUndefined();
    expect(seal.isOfLaterVersion(changed, 0, 4096)).toBe(true);
    changed[place] = 0;
    expect(seal.isOfLaterVersion(changed, 0, 4096)).toBe(false);
  }
  seal.place(record, 0, 4096);
  expect(seal.isOfLaterVersion(record, 0, 4096)).toBe(false);
});

test('the table of a record is checked by the CRC-32C of its entries', () => {
  const table = forged([Buffer.from('abc')]);
  expect(table.readUInt32LE(0)).toBe(3);
  expect(table.readUInt32LE(4)).toBe(crc32c(Buffer.from('abc'), SEED));
  expect(table.readUInt32LE(8)).toBe(crc32c(table.subarray(0, 8), SEED));
});
