import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { encodeLeaf } from '../../examples/storage-node/src/names/leaf-block.ts';
import { encodeRecord, HeaderSeal } from '../../examples/storage-node/src/volumes/record.ts';
import type { RecordContent } from '../../examples/storage-node/src/volumes/record.ts';
import { encodeVolumeHeader } from '../../examples/storage-node/src/volumes/volume-header.ts';

const GOLDEN = fileURLToPath(new URL('./golden/volume-00000007.vol', import.meta.url));
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

/** As in docs/VOLUMES.md. */
function volume(): Buffer {
  const header = {
    nodeId,
    number: 7,
    kind: 'data' as const,
    bucketId: 0,
    createdMs: 1_700_000_000_000,
  };
  const pieces = [encodeVolumeHeader(header)];
  const seal = new HeaderSeal(nodeId, 7);
  let at = 4096;
  for (const [i, fields] of RECORDS.entries()) {
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

test('a volume is written byte for byte like the golden file', () => {
  expect(Buffer.compare(volume(), readFileSync(GOLDEN))).toBe(0);
});
