import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeFileSystem } from 'lodestore/fs';
import { expect, test } from 'vitest';
import { encodeContent } from '../../examples/storage-node/src/objects/content-record.ts';
import { encodeLabel } from '../../examples/storage-node/src/objects/record-label.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { VolumeScan } from '../../examples/storage-node/src/rebuild/volume-scan.ts';
import {
  encodeRecord,
  FLAG_EXTENTS,
  HeaderSeal,
  type RecordContent,
} from '../../examples/storage-node/src/volumes/record.ts';
import {
  encodeVolumeHeader,
  HEADER_BYTES,
} from '../../examples/storage-node/src/volumes/volume-header.ts';
import { volumeFileName, VolumeSet } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { Volume } from '../../examples/storage-node/src/volumes/volume.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, etagOf, expectSame, get, openNode, SMALL } from './support/nodes.ts';

const nodeId = Uint8Array.from({ length: 16 }, (_, i) => 0xb0 + i);

const createdMs = 1_700_000_000_000;

/** A record. `isFreed`: its body is zeros, as after a hole, and its header is as before. */
interface Part {
  readonly content: RecordContent;
  readonly isFreed?: boolean;
}

function record(fields: Partial<RecordContent>, body: Uint8Array = Buffer.alloc(0)): RecordContent {
  return {
    kind: 'object',
    sequence: 10,
    key: 0n,
    bucketId: 1,
    sizeBytes: body.length,
    timeMs: createdMs,
    name: Buffer.from('n'),
    meta: encodeLabel({ etag: etagOf(body), meta: { headers: {} } }),
    body: [body],
    bodyBytes: body.length,
    ...fields,
  };
}

function volumeOf(number: number, parts: readonly Part[]): Buffer {
  const header = { version: 1, nodeId, number, kind: 'data', bucketId: 0, createdMs } as const;
  const pieces = [encodeVolumeHeader(header)];
  const seal = new HeaderSeal(nodeId, number);
  let at = HEADER_BYTES;
  for (const { content, isFreed = false } of parts) {
    const bytes = encodeRecord(content);
    seal.place(bytes, 0, at);
    if (isFreed) {
      const from = 64 + content.name.length + content.meta.length;
      bytes.fill(0, from, from + content.bodyBytes);
    }
    pieces.push(bytes);
    at += bytes.length;
  }
  pieces.push(Buffer.alloc(-at & 4095));
  return Buffer.concat(pieces);
}

/** Volumes 1, 2, …, scanned in this order. */
async function scanned(volumes: readonly (readonly Part[])[]): Promise<VolumeScan> {
  const directory = await temporaryDirectory();
  const options = { files: nodeFileSystem, directory, nodeId, maxOpenFiles: 2 };
  const set = new VolumeSet({ ...options, now: () => 0 });
  const scan = new VolumeScan();
  for (const [i, parts] of volumes.entries()) {
    const number = i + 1;
    const bytes = volumeOf(number, parts);
    await writeFile(join(directory, volumeFileName(number)), bytes);
    const volume = new Volume({
      number,
      kind: 'data',
      bucketId: 0,
      createdMs,
      state: 'sealed',
      liveBytes: 0,
      endBytes: bytes.length,
      newestMs: 0,
      markBytes: 0,
    });
    set.adopt(volume);
    await scan.scan(set, volume, bytes.length);
  }
  await set.close();
  scan.settle();
  return scan;
}

const [small, long] = [bytesOf(9_000), bytesOf(65_537)];

test.each([1, 2])('a rebuild uses the sound copy where volume %i is freed', async (freed) => {
  const directory = await temporaryDirectory();
  await mkdir(join(directory, 'volumes'));
  const bucket = { kind: 'bucket', sequence: 1, key: 1n, meta: Buffer.from([0, 0, 0, 0]) } as const;
  const list = encodeContent([{ serial: 7, count: 1, sizeBytes: long.length }]);
  const meta = encodeLabel({ etag: etagOf(long), meta: { headers: {} } });
  const name = Buffer.from('long');
  const once: readonly Part[] = [
    { content: record({ ...bucket, name: Buffer.from('bucket') }) },
    { content: record({ name, meta, flags: FLAG_EXTENTS, sizeBytes: long.length }, list) },
  ];
  for (const number of [1, 2]) {
    const isFreed = number === freed;
    const none = Buffer.alloc(0);
    const parts: Part[] = [
      { content: record({}, small), isFreed },
      { content: record({ kind: 'extent', sequence: 7, name, meta: none }, long), isFreed },
    ];
    const bytes = volumeOf(number, number === 1 ? [...once, ...parts] : parts);
    await writeFile(join(directory, 'volumes', volumeFileName(number)), bytes);
  }
  const report = await rebuildIndex(directory, SMALL);
  expect(report).toMatchObject({ buckets: 1, objects: 2, lostObjects: 0, damagedRecords: 0 });
  const node = await openNode(directory);
  expectSame(await get(node, 'bucket', 'n'), small);
  expectSame(await get(node, 'bucket', 'long'), long);
  expect((await node.scrub()).damages).toEqual([]);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 2 });
});

test('a damaged record stays the newest of its name, unless there is a sound copy of it', async () => {
  const older: Part = { content: record({ sequence: 10 }, small) };
  const newer: Part = { content: record({ sequence: 20 }, small), isFreed: true };
  for (const volumes of [[[older], [newer]], [[newer], [older]], [[older, newer, newer]]]) {
    const scan = await scanned(volumes);
    const found = scan.names.get(1)?.get('n');
    expect(found).toMatchObject({ sequence: 20, object: { isSound: false } });
  }
});

test('where the newest record is void, a sound copy of the next older one counts', async () => {
  const sound: Part = { content: record({ sequence: 10 }, small) };
  const freed: Part = { ...sound, isFreed: true };
  const newest: Part = { content: record({ sequence: 20 }, small) };
  const refusal: Part = {
    content: record({ kind: 'void', sequence: 30, sizeBytes: 20, meta: Buffer.alloc(0) }),
  };
  for (const order of [
    [sound, freed, newest],
    [freed, newest, sound],
    [newest, freed, sound],
    [newest, sound, freed],
  ]) {
    const scan = await scanned([...order.map((part) => [part]), [refusal]]);
    const found = scan.names.get(1)?.get('n');
    const volume = order.indexOf(sound) + 1;
    expect(found).toMatchObject({ sequence: 10, object: { isSound: true, volume } });
  }
});

test('the time of a scan is linear in the versions of one name', async () => {
  const timeOf = async (versions: number): Promise<number> => {
    const parts = Array.from({ length: versions }, (_, i): Part => {
      return { content: record({ sequence: i + 1 }) };
    });
    const startMs = performance.now();
    const scan = await scanned([parts]);
    expect(scan.names.get(1)?.get('n')).toMatchObject({ sequence: versions });
    return performance.now() - startMs;
  };
  // Four times as many take four times as long, not sixteen times. The machine may be busy.
  const least = async (versions: number): Promise<number> =>
    Math.min(await timeOf(versions), await timeOf(versions));
  const [some, more] = [await least(4_000), await least(16_000)];
  expect(more / some).toBeLessThan(9);
});
