import { NodeError } from '../node-errors.ts';
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
  /**
   * When a PUT of a whole, small body is acknowledged. `synced`, the default: when it is durable.
   * `deferred`: when it is in the write buffer, which is written each second. A crash may lose the
   * last such PUTs of the bucket.
   */
  readonly acknowledge?: 'synced' | 'deferred' | undefined;
  /**
   * `zstd`: bodies are stored in compressed blocks of 64 KiB, where they shrink. Sizes, ETags and
   * checksums are those of the client's bytes. Default `none`.
   */
  readonly compression?: 'none' | 'zstd' | undefined;
}

export const KEEP: BucketPolicy = { mode: 'keep' };

const MODES: readonly BucketPolicy['mode'][] = ['keep', 'cache', 'quota'];

/** Bits of the byte `options` of a policy. */
const OPTION_DEFERRED = 1;
const OPTION_ZSTD = 2;
const KNOWN_OPTIONS = OPTION_DEFERRED | OPTION_ZSTD;

const POLICY_FIELDS: ReadonlySet<string> = new Set<keyof BucketPolicy>([
  'mode',
  'quotaBytes',
  'ttlMs',
  'acknowledge',
  'compression',
]);

/** A policy from outside of the program. @throws NodeError `BAD_OPTION` */
export function checkedPolicy(policy: BucketPolicy): BucketPolicy {
  const refuse = (message: string): never => {
    throw new NodeError('BAD_OPTION', `the policy of a bucket: ${message}`);
  };
  for (const name of Object.keys(policy)) {
    if (!POLICY_FIELDS.has(name)) refuse(`${name} is not an option`);
  }
  const { mode, quotaBytes, ttlMs, acknowledge, compression } = policy;
  if (!MODES.includes(mode)) refuse(`mode must be one of ${MODES.join(', ')}`);
  for (const [name, value] of Object.entries({ quotaBytes, ttlMs })) {
    if (value !== undefined && (!Number.isSafeInteger(value) || value <= 0)) {
      refuse(`${name} must be a positive integer`);
    }
  }
  if (mode === 'quota' && quotaBytes === undefined) refuse('mode quota needs quotaBytes');
  if (mode !== 'quota' && quotaBytes !== undefined) refuse('quotaBytes needs mode quota');
  if (acknowledge !== undefined && acknowledge !== 'synced' && acknowledge !== 'deferred') {
    refuse('acknowledge must be synced or deferred');
  }
  if (compression !== undefined && compression !== 'none' && compression !== 'zstd') {
    refuse('compression must be none or zstd');
  }
  return policy;
}

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
  const deferred = policy.acknowledge === 'deferred' ? OPTION_DEFERRED : 0;
  const zstd = policy.compression === 'zstd' ? OPTION_ZSTD : 0;
  return writer
    .byte(MODES.indexOf(policy.mode))
    .byte(deferred | zstd)
    .number(policy.quotaBytes ?? 0)
    .number(policy.ttlMs ?? 0);
}

export function decodePolicy(reader: ByteReader): BucketPolicy {
  const mode = MODES[reader.byte()];
  if (mode === undefined) throw new RangeError('a bucket of a later version');
  const options = reader.byte();
  if ((options & ~KNOWN_OPTIONS) !== 0) throw new RangeError('a bucket of a later version');
  const quotaBytes = reader.number();
  const ttlMs = reader.number();
  return {
    mode,
    ...(quotaBytes > 0 && { quotaBytes }),
    ...(ttlMs > 0 && { ttlMs }),
    ...((options & OPTION_DEFERRED) !== 0 && { acknowledge: 'deferred' as const }),
    ...((options & OPTION_ZSTD) !== 0 && { compression: 'zstd' as const }),
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
