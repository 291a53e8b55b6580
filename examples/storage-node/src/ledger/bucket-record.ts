import { ByteReader, ByteWriter } from './byte-writer.ts';

/**
 * How a bucket frees space.
 *
 * - `keep`: only by deletes.
 * - `cache`: when the disk is short of space, the oldest volume is dropped with everything in it.
 * - `quota`: as `cache`, when the bucket has more than `quotaBytes`.
 *
 * With `ttlMs`, volumes whose newest object is older are dropped, too.
 */
export interface BucketPolicy {
  readonly mode: 'keep' | 'cache' | 'quota';
  readonly quotaBytes?: number | undefined;
  readonly ttlMs?: number | undefined;
}

export const KEEP: BucketPolicy = { mode: 'keep' };

const MODES: readonly BucketPolicy['mode'][] = ['keep', 'cache', 'quota'];

/** A bucket at run time. */
export interface Bucket {
  readonly id: number;
  readonly name: string;
  readonly createdMs: number;
  readonly policy: BucketPolicy;
  objects: number;
  bytes: number;
  /** Handle of its record in a volume, for a rebuild; 0: not written yet. */
  handle: bigint;
  lengthBytes: number;
}

/** Whether its objects are in separate volumes. */
export function hasOwnVolumes(policy: BucketPolicy): boolean {
  return policy.mode !== 'keep' || policy.ttlMs !== undefined;
}

export function encodePolicy(writer: ByteWriter, policy: BucketPolicy): ByteWriter {
  return writer
    .byte(MODES.indexOf(policy.mode))
    .byte(0)
    .number(policy.quotaBytes ?? 0)
    .number(policy.ttlMs ?? 0);
}

export function decodePolicy(reader: ByteReader): BucketPolicy {
  const mode = MODES[reader.byte()];
  if (mode === undefined) throw new RangeError('a bucket of a later version');
  if (reader.byte() !== 0) throw new RangeError('a bucket of a later version');
  const quotaBytes = reader.number();
  const ttlMs = reader.number();
  return {
    mode,
    ...(quotaBytes > 0 && { quotaBytes }),
    ...(ttlMs > 0 && { ttlMs }),
  };
}

/** The data of a bucket's record. Its value is the number of objects plus one. */
export function encodeBucketRecord(bucket: Bucket): Buffer {
  const writer = new ByteWriter(96)
    .text(bucket.name)
    .number(bucket.createdMs)
    .number(bucket.bytes)
    .u64(bucket.handle)
    .number(bucket.lengthBytes);
  return encodePolicy(writer, bucket.policy).end();
}

export function decodeBucketRecord(
  id: number,
  record: { readonly value: bigint; readonly data: Uint8Array },
): Bucket {
  const reader = new ByteReader(record.data);
  const name = reader.text();
  const createdMs = reader.number();
  const bytes = reader.number();
  const handle = reader.u64();
  const lengthBytes = reader.number();
  const policy = decodePolicy(reader);
  return {
    id,
    name,
    createdMs,
    policy,
    objects: Number(record.value) - 1,
    bytes,
    handle,
    lengthBytes,
  };
}
