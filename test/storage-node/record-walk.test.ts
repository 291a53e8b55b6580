import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeFileSystem } from 'lodestore/fs';
import { expect, onTestFinished, test } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { encodeRecord, HeaderSeal } from '../../examples/storage-node/src/volumes/record.ts';
import { walkWindows } from '../../examples/storage-node/src/volumes/record-walk.ts';
import { volumeFileName, VolumeSet } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { Volume } from '../../examples/storage-node/src/volumes/volume.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, get, put, SMALL } from './support/nodes.ts';

const nodeId = Uint8Array.from({ length: 16 }, (_, i) => 0xb0 + i);
const seal = new HeaderSeal(nodeId, 1);

/** A record that is valid at `offset` of volume 1. */
function recordAt(offset: number, name: string, body: Uint8Array): Buffer {
  const bytes = encodeRecord({
    kind: 'object',
    sequence: offset,
    key: 0n,
    bucketId: 1,
    sizeBytes: body.length,
    timeMs: 1_700_000_000_000,
    name: Buffer.from(name),
    meta: Buffer.alloc(0),
    body: [body],
    bodyBytes: body.length,
  });
  seal.place(bytes, 0, offset);
  return bytes;
}

/** Records without space between them, from 4,096 on, then zeros up to a multiple of 4 KiB. */
function groupOf(lengths: readonly number[], bodyOf = bytesOf): { bytes: Buffer; at: number[] } {
  const pieces: Buffer[] = [Buffer.alloc(4_096)];
  const at: number[] = [];
  let end = 4_096;
  for (const [i, length] of lengths.entries()) {
    const bytes = recordAt(end, `n${i}`, bodyOf(length));
    at.push(end);
    pieces.push(bytes);
    end += bytes.length;
  }
  pieces.push(Buffer.alloc(-end & 4_095));
  return { bytes: Buffer.concat(pieces), at };
}

interface Walked {
  readonly offsets: readonly number[];
  readonly gaps: readonly (readonly [from: number, to: number])[];
}

async function walked(bytes: Buffer, windowBytes?: number): Promise<Walked> {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, volumeFileName(1)), bytes);
  const options = { files: nodeFileSystem, directory, nodeId, maxOpenFiles: 2 };
  const set = new VolumeSet({ ...options, now: () => 0 });
  const volume = new Volume({
    number: 1,
    kind: 'data',
    bucketId: 0,
    createdMs: 0,
    state: 'sealed',
    liveBytes: 0,
    endBytes: bytes.length,
    newestMs: 0,
    markBytes: 0,
  });
  set.adopt(volume);
  const offsets: number[] = [];
  const gaps: [number, number][] = [];
  let end = 4_096;
  for await (const window of walkWindows(set, volume, bytes.length, undefined, windowBytes)) {
    expect(window.endOffset - window.lengthBytes).toBe(end);
    end = window.endOffset;
    offsets.push(...window.records.map(({ offset }) => offset));
    for (const { offset, lengthBytes } of window.gaps) {
      if (gaps.at(-1)?.[1] === offset) gaps.at(-1)![1] += lengthBytes;
      else gaps.push([offset, offset + lengthBytes]);
    }
  }
  expect(end).toBe(bytes.length);
  await set.close();
  return { offsets, gaps };
}

const WINDOWS = [undefined, 100, 5_000, 2 ** 14];

test.each(WINDOWS)(
  'the walk goes on after a damaged header, windows of %s bytes',
  async (window) => {
    const { bytes, at } = groupOf([300, 9_000, 20, 70_000, 5, 4_000, 1_000]);
    for (const [i, offset] of at.entries()) {
      const damaged = Buffer.from(bytes);
      damaged[offset + 20]! ^= 1;
      const end = at[i + 1] ?? bytes.length;
      expect(await walked(damaged, window)).toEqual({
        offsets: at.filter((other) => other !== offset),
        gaps: [[offset, end]],
      });
    }
    expect(await walked(bytes, window)).toEqual({ offsets: at, gaps: [] });
  },
);

test.each(WINDOWS)('zeros in place of a record are a gap, windows of %s bytes', async (window) => {
  const { bytes, at } = groupOf([300, 9_000, 20, 70_000, 5, 4_000, 1_000]);
  for (const [i, offset] of at.slice(0, -1).entries()) {
    const damaged = Buffer.from(bytes).fill(0, offset, at[i + 1]);
    const { offsets, gaps } = await walked(damaged, window);
    expect(offsets).toEqual(at.filter((other) => other !== offset));
    // Of zeros in several windows, those in the last one.
    expect(gaps).toEqual([[expect.any(Number), at[i + 1]]]);
    expect(gaps[0]![0]).toBeGreaterThanOrEqual(offset);
  }
  // A hole ends where a group begins.
  const hole = Buffer.concat([bytes.subarray(0, 4_096), Buffer.alloc(90_112), Buffer.alloc(64)]);
  expect(await walked(hole, window)).toEqual({ offsets: [], gaps: [] });
});

test.each(WINDOWS)('a body is never taken for records, windows of %s bytes', async (window) => {
  const inner = groupOf([100, 200, 300]);
  // Headers of this volume, at other places, also ones whose kind is the only difference.
  const body = Buffer.concat([inner.bytes, recordAt(4_096, 'n', bytesOf(8)), inner.bytes]);
  const { bytes, at } = groupOf([300, body.length, 20], (length) =>
    length === body.length ? body : bytesOf(length),
  );
  bytes[at[1]! + 20]! ^= 1;
  expect(await walked(bytes, window)).toEqual({
    offsets: [at[0], at[2]],
    gaps: [[at[1], at[2]]],
  });
});

test('a volume of noise, or of marks of headers, takes a time that is linear in its length', async () => {
  const marks = Buffer.alloc(2 ** 22, recordAt(0, 'n', bytesOf(0)).subarray(0, 16));
  for (const bytes of [Buffer.concat([Buffer.alloc(4_096), bytesOf(2 ** 25)]), marks]) {
    bytes.fill(0, 0, 4_096);
    const startMs = performance.now();
    expect(await walked(bytes)).toEqual({ offsets: [], gaps: [[4_096, bytes.length]] });
    expect(performance.now() - startMs).toBeLessThan(30_000);
  }
});

test('a rebuild loses no object but the one whose header is damaged', async () => {
  const files = new CrashFs();
  const options = { ...SMALL, volumeBytes: 2 ** 24, queueBytes: 2 ** 24 };
  const open = () => StorageNode.open('/node', options, { ...MACHINE, files });
  const node = await open();
  await node.createBucket('b');
  await put(node, 'b', 'n77', Buffer.from('old'));
  const names = Array.from({ length: 300 }, (_, i) => `n${i}`);
  const bodyOf = (name: string) => Buffer.from(`${name} `.repeat(40));
  await Promise.all(names.map((name) => put(node, 'b', name, bodyOf(name))));
  await node.settled();
  await node.close();
  const file = await files.open(`/node/volumes/${volumeFileName(1)}`, 'r+');
  const { sizeBytes } = await files.stat(`/node/volumes/${volumeFileName(1)}`);
  const all = Buffer.alloc(sizeBytes);
  await file.read(all, 0);
  // The header before the body of one of the first objects of the large group.
  const at = all.lastIndexOf('LDRC', all.indexOf(bodyOf('n5')));
  expect(at).toBeGreaterThan(0);
  await file.write(Uint8Array.of(all[at + 20]! ^ 1), at + 20);
  await file.close();
  const report = await rebuildIndex('/node', options, {}, { ...MACHINE, files });
  expect(report).toMatchObject({ objects: names.length - 1, damagedRecords: 0, gaps: 1 });
  const again = await open();
  onTestFinished(() => again.close());
  for (const name of names) {
    const found = await get(again, 'b', name);
    expect(found?.toString()).toBe(name === 'n5' ? undefined : bodyOf(name).toString());
  }
});
