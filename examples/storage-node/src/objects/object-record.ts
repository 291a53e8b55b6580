import type { Bucket } from '../ledger/bucket-record.ts';
import type { ByteName } from '../names/byte-name.ts';
import type { NameHash } from '../names/name-hash.ts';
import { encodeInPieces, type RecordPieces } from '../volumes/record.ts';
import { compressBody, type StoredBody } from '../volumes/stored-body.ts';
import { encodeLabel, type RecordLabel } from './record-label.ts';

/** A name in a bucket, and its form on disk. */
export interface Target {
  readonly bucket: Bucket;
  readonly name: ByteName;
  readonly nameBytes: Uint8Array;
  readonly hash: NameHash;
}

/** Bytes of a body as a bucket stores them. @throws NodeError `NO_ZSTD` */
export async function storedIn(
  { policy }: Bucket,
  pieces: readonly Uint8Array[],
  sizeBytes: number,
): Promise<StoredBody> {
  if (policy.compression === 'zstd') return compressBody(pieces, sizeBytes);
  return { pieces, bodyBytes: sizeBytes };
}

export interface RecordFields extends StoredBody {
  readonly sizeBytes: number;
  readonly flags: number;
  readonly modifiedMs: number;
  readonly label: RecordLabel;
}

/** The record of an object in a volume. The pieces of its body may be part of it. */
export function encodeObject(target: Target, fields: RecordFields, sequence: number): RecordPieces {
  return encodeInPieces({
    kind: 'object',
    flags: fields.flags,
    sequence,
    key: target.hash.home,
    bucketId: target.bucket.id,
    sizeBytes: fields.sizeBytes,
    timeMs: fields.modifiedMs,
    name: target.nameBytes,
    meta: encodeLabel(fields.label),
    body: fields.pieces,
    bodyBytes: fields.bodyBytes,
    blockLengths: fields.blockLengths,
  });
}
