import { crc32c } from '@node-rs/crc32';

/** A body has a checksum for each block of this length, and is compressed by such blocks. */
export const BLOCK_BYTES = 65_536;

/** Length of the stored block, and its CRC-32C. */
const ENTRY_BYTES = 8;
const TABLE_SUM_BYTES = 4;

export function blockCount(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES);
}

/** Length of the table after a compressed body of an object of `sizeBytes`. */
export function tableLength(sizeBytes: number): number {
  return ENTRY_BYTES * blockCount(sizeBytes) + TABLE_SUM_BYTES;
}

/**
 * Checksums of the blocks of a body in pieces. `lengthOf` gives the length of each block; the last
 * may be shorter.
 */
export function sumsOf(
  pieces: readonly Uint8Array[],
  lengthOf: (block: number) => number,
  seed: number,
): number[] {
  const sums: number[] = [];
  let sum = seed;
  let left = lengthOf(0);
  for (const piece of pieces) {
    for (let done = 0; done < piece.length;) {
      const part = piece.subarray(done, done + left);
      sum = crc32c(part, sum);
      done += part.length;
      left -= part.length;
      if (left > 0) continue;
      sums.push(sum);
      sum = seed;
      left = lengthOf(sums.length);
    }
  }
  if (left < lengthOf(sums.length)) sums.push(sum);
  return sums;
}

/**
 * Writes a table at `at`: length and checksum of each stored block, then the checksum of these.
 * Returns the end.
 */
export function writeTable(
  bytes: Buffer,
  at: number,
  blockLengths: readonly number[],
  sums: readonly number[],
  seed: number,
): number {
  let end = at;
  for (const [block, length] of blockLengths.entries()) {
    end = bytes.writeUInt32LE(length, end);
    end = bytes.writeUInt32LE(sums[block]!, end);
  }
  return bytes.writeUInt32LE(crc32c(bytes.subarray(at, end), seed), end);
}

export interface BlockTableFields {
  /** Bytes of the object in the body. */
  readonly sizeBytes: number;
  /** Bytes as stored. */
  readonly bodyBytes: number;
  readonly seed: number;
}

/**
 * Where the blocks of a compressed body are. A block is stored as it is if its stored length is
 * that of its content, else as one zstd frame, which is shorter.
 */
export class BlockTable {
  readonly count: number;
  readonly #sizeBytes: number;
  readonly #bytes: Buffer;
  readonly #seed: number;
  /** Ends of the stored blocks. */
  readonly #ends: readonly number[];

  private constructor(bytes: Buffer, { sizeBytes, seed }: BlockTableFields, ends: number[]) {
    this.count = ends.length;
    this.#sizeBytes = sizeBytes;
    this.#bytes = bytes;
    this.#seed = seed;
    this.#ends = ends;
  }

  /** `bytes` begins with the table. Returns undefined if it is damaged, or fits no such body. */
  static read(bytes: Buffer, fields: BlockTableFields): BlockTable | undefined {
    const { sizeBytes, bodyBytes, seed } = fields;
    const sumAt = tableLength(sizeBytes) - TABLE_SUM_BYTES;
    if (bytes.length < sumAt + TABLE_SUM_BYTES) return undefined;
    if (crc32c(bytes.subarray(0, sumAt), seed) !== bytes.readUInt32LE(sumAt)) return undefined;
    const ends: number[] = [];
    let end = 0;
    for (let i = 0; i < blockCount(sizeBytes); i++) {
      const length = bytes.readUInt32LE(ENTRY_BYTES * i);
      if (length === 0 || length > contentLength(sizeBytes, i)) return undefined;
      end += length;
      ends.push(end);
    }
    return end === bodyBytes ? new BlockTable(bytes, fields, ends) : undefined;
  }

  /** Offset of a stored block in the body; for `count` the end of the body. */
  startOf(block: number): number {
    return block === 0 ? 0 : this.#ends[block - 1]!;
  }

  lengthOf(block: number): number {
    return this.startOf(block + 1) - this.startOf(block);
  }

  /** Bytes of the object in a block. */
  contentOf(block: number): number {
    return contentLength(this.#sizeBytes, block);
  }

  isCompressed(block: number): boolean {
    return this.lengthOf(block) < this.contentOf(block);
  }

  isSound(block: number, stored: Uint8Array): boolean {
    return crc32c(stored, this.#seed) === this.#bytes.readUInt32LE(ENTRY_BYTES * block + 4);
  }

  /** True if none of the stored blocks is damaged. */
  isSoundBody(body: Buffer): boolean {
    for (let i = 0; i < this.count; i++) {
      if (!this.isSound(i, body.subarray(this.startOf(i), this.startOf(i + 1)))) return false;
    }
    return true;
  }

  get blockLengths(): number[] {
    return this.#ends.map((_, i) => this.lengthOf(i));
  }
}

function contentLength(sizeBytes: number, block: number): number {
  return Math.min(BLOCK_BYTES, sizeBytes - block * BLOCK_BYTES);
}
