import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeFileSystem } from 'lodestore/fs';
import { expect, test } from 'vitest';
import { encodeLeaf } from '../../examples/storage-node/src/names/leaf-block.ts';
import { encodeRecord, HeaderSeal } from '../../examples/storage-node/src/volumes/record.ts';
import type { RecordContent } from '../../examples/storage-node/src/volumes/record.ts';
import { isRecordSound, labelOf } from '../../examples/storage-node/src/volumes/record.ts';
import { walkWindows } from '../../examples/storage-node/src/volumes/record-walk.ts';
import { encodeVolumeHeader } from '../../examples/storage-node/src/volumes/volume-header.ts';
import type { VolumeHeader } from '../../examples/storage-node/src/volumes/volume-header.ts';
import { volumeFileName, VolumeSet } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { Volume } from '../../examples/storage-node/src/volumes/volume.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { expectSame, get, openNode, SMALL } from './support/nodes.ts';

const GOLDEN = fileURLToPath(new URL('./golden', import.meta.url));
const nodeId = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);
const NONE = new Uint8Array();

const RECORDS: readonly Partial<RecordContent>[] = [
  {
    kind: 'object',
    name: Buffer.from('größe'),
    meta: Buffer.from('{"e":"00"}'),
    body: [Buffer.from('body')],
    bodyBytes: 4,
    sizeBytes: 4,
  },
  {
    kind: 'extent',
    key: 1n,
    name: Buffer.from('big'),
    body: [Buffer.alloc(65_537, 'x')],
    bodyBytes: 65_537,
    sizeBytes: 65_537,
  },
  {
    kind: 'leaf',
    key: 3n,
    body: [encodeLeaf(['a/1', 'a/2', 'b'])],
    bodyBytes: encodeLeaf(['a/1', 'a/2', 'b']).length,
  },
  { kind: 'tombstone', key: 6n, name: Buffer.from('gone') },
  { kind: 'void', key: 7n, name: Buffer.from('refused'), sizeBytes: 12 },
  { kind: 'bucket', key: 1n, name: Buffer.from('bucket'), meta: Buffer.from([2, 0, 0x80, 8, 0]) },
];

const LINE = '{"id":1,"tags":["a","b"]}\n';
/** Frames of zstd 1.5, of 300 bytes of that line, and of a block of `x`. */
const LINES_FRAME = Buffer.from(
  '28b52ffd602c000d0100d07b226964223a312c2274616773223a5b2261222c2262225d7d0a01003eb43ac7',
  'hex',
);
const BLOCK_FRAME = Buffer.from('28b52ffd6000ff5500001078780100fb7f1d6001', 'hex');
const ETAG = '0123456789abcdef0123456789abcdef';

function compressed(blocks: readonly Buffer[], sizeBytes: number): Partial<RecordContent> {
  const blockLengths = blocks.map(({ length }) => length);
  const bodyBytes = blockLengths.reduce((sum, length) => sum + length, 0);
  return { body: blocks, bodyBytes, blockLengths, sizeBytes };
}

/** A bucket with compression, an object in one record, and one with an extent of two blocks. */
const COMPRESSED_RECORDS: readonly Partial<RecordContent>[] = [
  { kind: 'bucket', key: 1n, name: Buffer.from('zip'), meta: Buffer.from([0, 2, 0, 0]) },
  {
    ...compressed([LINES_FRAME], 300),
    name: Buffer.from('lines'),
    meta: Buffer.from(`{"e":"${ETAG}"}`),
  },
  {
    ...compressed([BLOCK_FRAME, Buffer.from('y')], 65_537),
    kind: 'extent',
    sequence: 9,
    key: 0n,
    name: Buffer.from('extent'),
  },
  {
    flags: 1,
    name: Buffer.from('extent'),
    meta: Buffer.from(`{"e":"${ETAG}"}`),
    // One run: serial 9, one extent, 65,537 bytes.
    body: [Buffer.from([1, 9, 1, 0x81, 0x80, 4])],
    bodyBytes: 6,
    sizeBytes: 65_537,
  },
];

/** As in docs/VOLUMES.md. */
function volume(
  place: Pick<VolumeHeader, 'version' | 'number'>,
  records: readonly Partial<RecordContent>[],
): Buffer {
  const header = {
    ...place,
    nodeId,
    kind: 'data' as const,
    bucketId: 0,
    createdMs: 1_700_000_000_000,
  };
  const pieces = [encodeVolumeHeader(header)];
  const seal = new HeaderSeal(nodeId, place.number);
  let at = 4096;
  for (const [i, fields] of records.entries()) {
    const record = encodeRecord({
      kind: 'object',
      sequence: 2 ** 33 + i,
      key: 5n,
      bucketId: 1,
      sizeBytes: 0,
      timeMs: 1_700_000_000_000 + i,
      name: NONE,
      meta: NONE,
      body: [],
      bodyBytes: 0,
      ...fields,
    });
    seal.place(record, 0, at);
    pieces.push(record);
    at += record.length;
  }
  pieces.push(Buffer.alloc(-at & 4095));
  return Buffer.concat(pieces);
}

const golden = (number: number): Buffer => readFileSync(join(GOLDEN, volumeFileName(number)));

test('a volume is written byte for byte like the golden file', () => {
  expect(Buffer.compare(volume({ version: 1, number: 7 }, RECORDS), golden(7))).toBe(0);
});

test('a volume of compressed records is written byte for byte like the golden file', () => {
  const written = volume({ version: 2, number: 8 }, COMPRESSED_RECORDS);
  expect(Buffer.compare(written, golden(8))).toBe(0);
});

test.each([
  [7, RECORDS],
  [8, COMPRESSED_RECORDS],
])('all records of the golden volume %i are read', async (number, records) => {
  const options = { files: nodeFileSystem, directory: GOLDEN, nodeId, maxOpenFiles: 1 };
  const volumes = new VolumeSet({ ...options, now: () => 0 });
  const endBytes = golden(number).length;
  const kind = 'data' as const;
  const state = { state: 'sealed' as const, liveBytes: 0, newestMs: 0, markBytes: 0 };
  const found = new Volume({ number, kind, bucketId: 0, createdMs: 0, endBytes, ...state });
  expect(await volumes.inspect(number)).toBeUndefined();
  let count = 0;
  for await (const window of walkWindows(volumes, found, endBytes)) {
    expect(window.gaps).toEqual([]);
    for (const record of window.records) {
      const { name, kind: expected } = records[count++]!;
      expect(record.header.kind).toBe(expected ?? 'object');
      expect(isRecordSound(record.header, record.bytes)).toBe(true);
      expect(String(labelOf(record.header, record.bytes)!.name)).toBe(String(name ?? ''));
    }
  }
  expect(count).toBe(records.length);
  await volumes.close();
});

test('a node serves what is in the golden volume of compressed records', async () => {
  const directory = await temporaryDirectory();
  mkdirSync(join(directory, 'volumes'));
  const name = volumeFileName(8);
  copyFileSync(join(GOLDEN, name), join(directory, 'volumes', name));
  const report = await rebuildIndex(directory, SMALL);
  expect(report).toMatchObject({ buckets: 1, objects: 2, damagedRecords: 0, gaps: 0 });
  const node = await openNode(directory);
  expectSame(await get(node, 'zip', 'lines'), Buffer.alloc(300, LINE));
  const extent = Buffer.concat([Buffer.alloc(65_536, 'x'), Buffer.from('y')]);
  expectSame(await get(node, 'zip', 'extent'), extent);
  const range = { startBytes: 65_535, endBytes: 65_537 };
  expect(String(await get(node, 'zip', 'extent', range))).toBe('xy');
  expect((await node.scrub()).damages).toEqual([]);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 2 });
});
