import { beforeAll, describe, expect, test } from 'vitest';
import { present } from '../../src/base/assert.ts';
import type { Columns } from '../../src/format/columns.ts';
import {
  ChunkReader,
  readSnapshot,
  type SnapshotFile,
} from '../../src/snapshot/snapshot-reader.ts';
import type { OpenFile } from '../../src/fs/file-system.ts';
import { SnapshotWriter, type WrittenSnapshot } from '../../src/snapshot/snapshot-writer.ts';
import { ContentSum } from '../../src/format/content-sum.ts';
import { chunksOf } from '../support/columns.ts';
import { contentHashOf } from '../support/independent-content-hash.ts';
import { openedFile } from '../support/read-only-files.ts';
import { growingFile, snapshotOf, STORE_ID } from '../support/small-directory.ts';

const LAST = { lengthBytes: 99, lastSequence: 12n, chain: 5 };

const RECORDS = Array.from({ length: 60 }, (_, i) => ({
  key: BigInt(i * i),
  value: BigInt(i + 1),
  data: new Uint8Array(i % 4).fill(i),
}));
const CHUNKS = chunksOf(RECORDS, 20);

function read(bytes: Uint8Array, number = 3) {
  return readSnapshot(openedFile(bytes), number);
}

async function readWhole(bytes: Uint8Array): Promise<SnapshotFile> {
  const result = await read(bytes);
  if (result.kind !== 'snapshot') throw new Error(result.kind);
  return result;
}

async function chunksIn(bytes: Uint8Array): Promise<unknown[]> {
  const { index } = await readWhole(bytes);
  const reader = new ChunkReader(openedFile(bytes), bytes.length, STORE_ID, 3);
  const chunks: unknown[] = [];
  for (const [i, entry] of index.entries.entries()) chunks.push(await reader.read(entry, i));
  return chunks;
}

describe('a snapshot of three chunks', () => {
  let bytes: Uint8Array;

  beforeAll(async () => {
    bytes = await snapshotOf(3, CHUNKS, LAST, 7);
  });

  test('is read as it was written', async () => {
    const file = await readWhole(bytes);
    expect(file.header).toMatchObject({ epoch: 7, predecessor: { ...LAST, number: 3 } });
    const contentHash = BigInt(`0x${contentHashOf(RECORDS)}`);
    expect(file.index.totals).toEqual({ recordCount: 60, dataBytes: 90, contentHash });
    expect(file.fileBytes).toBe(bytes.length);
    expect(await chunksIn(bytes)).toEqual(CHUNKS);
  });

  test('has the same contents when copied chunk by chunk without decoding', async () => {
    const { file, bytes: copied } = growingFile();
    const { header, index } = await readWhole(bytes);
    const reader = new ChunkReader(openedFile(bytes), bytes.length, STORE_ID, 3);
    const writer = new SnapshotWriter(file, header);
    for (const [i, entry] of index.entries.entries()) {
      const raw = await reader.readRaw(entry, i);
      if (raw.kind === 'raw') {
        await writer.copyChunk({ ...entry, payload: raw.payload, header: raw.header });
      }
    }
    writer.addCopiedContent(new ContentSum(index.totals.contentHash));
    await writer.finish();
    expect(copied()).toEqual(bytes);
  });

  test('is damaged under another number, or with more or fewer bytes', async () => {
    expect(await read(bytes, 4)).toMatchObject({ kind: 'corrupt', offset: 0 });
    expect(await read(new Uint8Array([...bytes, 0]))).toMatchObject({ kind: 'corrupt' });
    expect(await read(bytes.subarray(0, -1))).toMatchObject({ kind: 'corrupt' });
    expect(await read(new Uint8Array(0))).toMatchObject({ kind: 'corrupt' });
    expect(await read(bytes.slice().fill(0x41, 0, 8))).toMatchObject({ kind: 'foreign' });
  });

  test('is damaged with the header and trailer of two files', async () => {
    const other = await snapshotOf(3, CHUNKS, LAST, 8);
    const mixed = other.slice();
    mixed.set(bytes.subarray(0, 128));
    expect(await read(mixed)).toMatchObject({
      kind: 'corrupt',
      reason: 'header and trailer belong to different files',
    });
  });

  test('is damaged with other chunks than the index names', async () => {
    const { index } = await readWhole(bytes);
    const reader = new ChunkReader(openedFile(bytes), bytes.length, STORE_ID, 3);
    const first = present(index.entries[0], 'there is a chunk');
    const named = { kind: 'corrupt', reason: 'the chunk is not the one that the index names' };
    expect(await reader.read(first, 1)).toMatchObject(named);
    expect(await reader.read({ ...first, checksum: 1 }, 0)).toMatchObject(named);
    expect(await reader.read({ ...first, recordCount: 1 }, 0)).toMatchObject(named);
    const other = { kind: 'corrupt', reason: 'the keys of the chunk differ from the index' };
    expect(await reader.read({ ...first, firstKey: 1n }, 0)).toMatchObject(other);
    expect(await reader.read({ ...first, lastKey: 999n }, 0)).toMatchObject(other);
    expect(await reader.read({ ...first, dataBytes: 1 }, 0)).toMatchObject(other);
    const reason = 'there is no chunk where the index says';
    expect(await reader.read({ ...first, offset: 129 }, 0)).toMatchObject({ reason });
  });
});

test('a snapshot without records is written and read', async () => {
  const bytes = await snapshotOf(3, []);
  expect(bytes.length).toBe(128 + 48 + 32 + 48);
  expect(await chunksIn(bytes)).toEqual([]);
});

test("chunks larger than the writer's buffer are written raw and compressed", async () => {
  const noise = Uint8Array.from({ length: 2_200_000 }, (_, i) => (i * 2_654_435_761) >>> 13);
  const records = [
    { key: 1n, value: 1n, data: noise },
    { key: 2n, value: 1n, data: new Uint8Array(2_200_000) },
    { key: 3n, value: 1n, data: noise.subarray(0, 1_100_000) },
  ];
  const chunks: Columns[] = chunksOf(records, 1);
  const bytes = await snapshotOf(3, chunks);
  const { index } = await readWhole(bytes);
  const contentHash = BigInt(`0x${contentHashOf(records)}`);
  expect(index.totals).toEqual({ recordCount: 3, dataBytes: 5_500_000, contentHash });
  const found = (await chunksIn(bytes)) as Columns[];
  expect(
    found.map((chunk) =>
      Buffer.compare(chunk.data, present(chunks[found.indexOf(chunk)], 'as many').data),
    ),
  ).toEqual([0, 0, 0]);
});

test('chunks must ascend', async () => {
  await expect(snapshotOf(3, CHUNKS.toReversed())).rejects.toThrow('chunks ascend');
});

describe('a long snapshot', () => {
  const MIB = 1024 * 1024;
  const PREDECESSOR = { ...LAST, number: 3 };
  const HEADER = {
    kind: 'snapshot',
    storeId: STORE_ID,
    number: 3,
    epoch: 1,
    predecessor: PREDECESSOR,
  } as const;

  /** Writes 11 MiB of incompressible chunks. */
  async function writeLong(file: OpenFile): Promise<WrittenSnapshot> {
    const writer = new SnapshotWriter(file, HEADER);
    const data = crypto.getRandomValues(new Uint8Array(65_536));
    for (let key = 0n; key < 176n; key++) {
      await writer.writeChunk(chunksOf([{ key, value: 1n, data }], 1)[0]!);
    }
    return writer.finish();
  }

  test('is synced in steps of a few MiB, and completely at the end', async () => {
    const { file } = growingFile();
    const syncs: number[] = [];
    let unsyncedBytes = 0;
    const { fileBytes } = await writeLong({
      ...file,
      write: async (source, position) => {
        unsyncedBytes += source.length;
        return file.write(source, position);
      },
      dataSync: async () => {
        syncs.push(unsyncedBytes);
        unsyncedBytes = 0;
      },
    });
    expect(fileBytes).toBeGreaterThan(11 * MIB);
    expect(unsyncedBytes).toBe(0);
    expect(syncs.reduce((sum, bytes) => sum + bytes)).toBe(fileBytes);
    expect(Math.max(...syncs)).toBeLessThanOrEqual(6 * MIB);
  });

  test('fails with the first sync that fails', async () => {
    let syncs = 0;
    const writing = writeLong({
      ...growingFile().file,
      dataSync: () => {
        syncs++;
        return Promise.reject(new Error('EIO'));
      },
    });
    await expect(writing).rejects.toThrow('EIO');
    expect(syncs).toBe(1);
  });
});
