import { crc32c, demand, Fields, inflate } from './independent-decoder-checks.ts';

/** A file of the store: the kind and number of its name, and all its bytes. */
export interface StoredFile {
  readonly kind: 'log' | 'snapshot';
  readonly number: number;
  readonly bytes: Uint8Array;
}

export interface Previous {
  readonly number: number;
  readonly lengthBytes: number;
  readonly lastSequence: bigint;
  readonly chain: number;
}

export interface FileHead {
  readonly version: number;
  readonly storeId: Uint8Array;
  readonly epoch: number;
  readonly previous: Previous;
  readonly checksum: number;
}

export interface FrameHead {
  readonly kind: number;
  readonly codec: number;
  readonly flags: number;
  readonly payloadBytes: number;
  readonly decodedBytes: number;
  readonly sequence: bigint;
  readonly batches: number;
  readonly records: number;
  readonly chain: number;
  readonly payloadChecksum: number;
  readonly unproven: number;
  readonly checksum: number;
}

const MAGIC = { log: '4c4f44454c4f47f1', snapshot: '4c4f4445534e50f1' };
const MAX_BYTES = 64 * 1024 * 1024;

/** Section "Checksums". */
export function checksumOf(
  file: StoredFile,
  storeId: Uint8Array,
  from: number,
  lengthBytes: number,
): number {
  const seed = Buffer.alloc(33);
  seed.set(storeId);
  seed[16] = file.kind === 'log' ? 1 : 2;
  seed.writeBigUInt64LE(BigInt(file.number), 17);
  seed.writeBigUInt64LE(BigInt(from), 25);
  return crc32c(seed, file.bytes.subarray(from, from + lengthBytes));
}

/** Section "File header". Undefined if it is truncated or its checksum is invalid. */
export function fileHead(file: StoredFile): FileHead | undefined {
  if (file.bytes.length < 128) return undefined;
  const head = new Fields(file.bytes.subarray(0, 128));
  const storeId = file.bytes.slice(16, 32);
  const checksum = head.u32(124);
  if (head.hex(0, 8) !== MAGIC[file.kind]) return undefined;
  if (checksumOf(file, storeId, 0, 124) !== checksum) {
    const declared = { ...file, number: Number(head.u64(32)) };
    const isAnother =
      declared.number < 2 ** 53 && checksumOf(declared, storeId, 0, 124) === checksum;
    demand(!isAnother, 'the header is that of another number');
    return undefined;
  }
  const version = head.u32(8);
  const newest = file.kind === 'log' ? 3 : 2;
  demand(version >= 1 && version <= newest, 'the version is known');
  demand(head.u32(12) === 128, 'the header is 128 bytes long');
  demand(head.fileNumber(32) === file.number, 'the number is the one in the name');
  head.demandZero(76, 124, 'file header');
  const previous = {
    number: head.fileNumber(48),
    lengthBytes: head.number(56),
    lastSequence: head.u64(64),
    chain: head.u32(72),
  };
  if (file.kind === 'snapshot') {
    demand(previous.number === file.number, "a snapshot's previous number is its own");
  }
  return { version, storeId, epoch: head.fileNumber(40), previous, checksum };
}

/** True if there is a valid frame header of this file. */
export function isFrameHead(file: StoredFile, storeId: Uint8Array, offset: number): boolean {
  if (offset + 48 > file.bytes.length) return false;
  const head = new Fields(file.bytes.subarray(offset, offset + 48));
  return head.hex(0, 4) === 'b54c5346' && checksumOf(file, storeId, offset, 44) === head.u32(44);
}

/** Section "Frames": the fields of a header with a valid checksum. */
export function frameHead(file: StoredFile, offset: number): FrameHead {
  const head = new Fields(file.bytes.subarray(offset, offset + 48));
  const frame = {
    kind: head.u8(4),
    codec: head.u8(5),
    flags: head.u16(6),
    payloadBytes: head.u32(8),
    decodedBytes: head.u32(12),
    sequence: head.u64(16),
    batches: head.u32(24),
    records: head.u32(28),
    chain: head.u32(32),
    payloadChecksum: head.u32(36),
    unproven: head.u32(40),
    checksum: head.u32(44),
  };
  demand(frame.unproven === 0 || frame.kind === 1, 'only groups have unproven bytes before them');
  demand(frame.unproven <= offset, 'unproven bytes are bytes of the file');
  demand(frame.kind >= 1 && frame.kind <= 4, 'the kind is known');
  demand(frame.codec <= 1, 'the codec is known');
  demand(frame.flags === 0 || (frame.kind === 2 && frame.flags === 1), 'the flags are known');
  demand(frame.payloadBytes <= MAX_BYTES && frame.decodedBytes <= MAX_BYTES, 'lengths are bounded');
  demand(frame.codec === 1 || frame.payloadBytes === frame.decodedBytes, 'raw has one length');
  demand(frame.kind === 1 ? frame.batches > 0 : frame.batches === 0, 'batches are in groups');
  demand(frame.kind !== 2 || (frame.codec === 0 && frame.payloadBytes === 0), 'a seal is empty');
  demand(frame.kind !== 3 || frame.records > 0, 'a chunk has records');
  demand(frame.kind !== 4 || frame.records === 0, 'an index has no records');
  return frame;
}

/** The decoded payload; undefined if it is truncated or its checksum is invalid. */
export function payloadOf(
  file: StoredFile,
  storeId: Uint8Array,
  offset: number,
  frame: FrameHead,
): Uint8Array | undefined {
  const from = offset + 48;
  if (from + frame.payloadBytes > file.bytes.length) return undefined;
  if (checksumOf(file, storeId, from, frame.payloadBytes) !== frame.payloadChecksum) {
    return undefined;
  }
  const stored = file.bytes.subarray(from, from + frame.payloadBytes);
  const decoded = frame.codec === 1 ? inflate(stored) : stored;
  demand(decoded.length === frame.decodedBytes, 'the payload decodes to its length');
  return decoded;
}
