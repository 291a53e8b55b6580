import { crc32c } from '@node-rs/crc32';

/** The first block of a volume file; records start after it. */
export const HEADER_BYTES = 4096;
/**
 * Groups start and end at multiples of this: no acknowledged byte shares a block with a later
 * write.
 */
export const GROUP_ALIGN_BYTES = 4096;
export const NODE_ID_BYTES = 16;

const MAGIC = 'LODENODE';
/** 2: a volume that may have compressed records. */
export type VolumeVersion = 1 | 2;

const CHECKED_BYTES = 56;

/** The contents of a volume, which determine how its space is freed. */
export type VolumeKind = 'data' | 'index' | 'bucket';

const KINDS: readonly VolumeKind[] = ['data', 'index', 'bucket'];

export interface VolumeHeader {
  readonly version: VolumeVersion;
  readonly nodeId: Uint8Array;
  readonly number: number;
  readonly kind: VolumeKind;
  /** For `bucket`: the only bucket with objects in it; otherwise 0. */
  readonly bucketId: number;
  readonly createdMs: number;
  /** Number of the volume whose place it has in the order of eviction. */
  readonly age: number;
}

export function kindByteOf(kind: VolumeKind): number {
  return KINDS.indexOf(kind);
}

export function volumeKindOf(byte: number): VolumeKind | undefined {
  return KINDS[byte];
}

/** `age`: its own number, unless it has copies. */
export function encodeVolumeHeader({
  age = 0,
  ...header
}: Omit<VolumeHeader, 'age'> & Partial<Pick<VolumeHeader, 'age'>>): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(header.version, 8);
  bytes.writeUInt32LE(kindByteOf(header.kind), 12);
  bytes.set(header.nodeId, 16);
  bytes.writeUInt32LE(header.number, 32);
  bytes.writeUInt32LE(header.bucketId, 36);
  bytes.writeBigUInt64LE(BigInt(header.createdMs), 40);
  // Bytes 52 to 55 are zero.
  bytes.writeUInt32LE(age === header.number ? 0 : age, 48);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
  return bytes;
}

/** Why a header cannot be used. */
export interface HeaderFault {
  readonly cause: 'damaged' | 'later' | 'foreign';
  readonly reason: string;
}

export function decodeVolumeHeader(block: Buffer): VolumeHeader | HeaderFault {
  const damaged = (reason: string): HeaderFault => ({ cause: 'damaged', reason });
  if (block.length < HEADER_BYTES) return damaged('it is shorter than a header');
  if (block.toString('latin1', 0, 8) !== MAGIC) {
    return damaged('it does not begin as a volume does');
  }
  // Before the version: a flipped bit makes no later one.
  if (crc32c(block.subarray(0, CHECKED_BYTES)) !== block.readUInt32LE(CHECKED_BYTES)) {
    return damaged('the checksum of its header does not match');
  }
  const version = block.readUInt32LE(8);
  if (version !== 1 && version !== 2) {
    return { cause: 'later', reason: `its version is ${version}, which is a later one` };
  }
  const kind = volumeKindOf(block.readUInt32LE(12));
  if (kind === undefined)
    return { cause: 'later', reason: `its kind is ${block.readUInt32LE(12)}` };
  const number = block.readUInt32LE(32);
  return {
    version,
    nodeId: new Uint8Array(block.subarray(16, 32)),
    number,
    kind,
    bucketId: block.readUInt32LE(36),
    createdMs: Number(block.readBigUInt64LE(40)),
    age: block.readUInt32LE(48) || number,
  };
}
