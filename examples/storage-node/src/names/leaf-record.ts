import { ByteReader, ByteWriter } from '../ledger/byte-writer.ts';
import { keyOf } from '../ledger/keys.ts';
import type { Leaf } from './leaf-directory.ts';

export function leafKey(id: number): bigint {
  return keyOf('leaf', id);
}

/** The data of a leaf's record. Its value is the handle of the names. */
export function encodeLeafRecord(
  leaf: Pick<Leaf, 'bucketId' | 'nextDelta' | 'lengthBytes' | 'low'>,
): Buffer {
  return new ByteWriter(24 + leaf.low.length)
    .number(leaf.bucketId)
    .number(leaf.nextDelta)
    .number(leaf.lengthBytes)
    .bytes(Buffer.from(leaf.low, 'latin1'))
    .end();
}

export function decodeLeafRecord(
  id: number,
  record: { readonly value: bigint; readonly data: Uint8Array },
): Leaf {
  const reader = new ByteReader(record.data);
  return {
    id,
    handle: record.value,
    bucketId: reader.number(),
    nextDelta: reader.number(),
    lengthBytes: reader.number(),
    low: reader.rest().toString('latin1'),
    deltas: -1,
    firstDelta: 0,
    isFolding: false,
  };
}
