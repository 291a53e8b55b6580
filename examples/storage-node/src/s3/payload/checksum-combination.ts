import { createHash } from 'node:crypto';
import type { ChecksumAlgorithm } from './checksums.ts';

/** Reflected polynomials, without their highest term, and their width in bits. */
const POLYNOMIALS: Partial<Record<ChecksumAlgorithm, readonly [bits: number, poly: bigint]>> = {
  CRC32: [32, 0xedb88320n],
  CRC32C: [32, 0x82f63b78n],
  CRC64NVME: [64, 0x9a6c9329ac4bc9b5n],
};

export interface PartChecksum {
  readonly sizeBytes: number;
  /** Base64. */
  readonly checksum: string;
}

/** True if the checksum of the whole can be computed from those of its parts. */
export function isCombinable(algorithm: ChecksumAlgorithm): boolean {
  return POLYNOMIALS[algorithm] !== undefined;
}

/** Product of two polynomials modulo the third. All are reflected: the highest bit is x^0. */
function multiply(a: bigint, b: bigint, bits: number, poly: bigint): bigint {
  let product = 0n;
  let factor = b;
  for (let mask = 1n << BigInt(bits - 1); mask > 0n; mask >>= 1n) {
    if ((a & mask) !== 0n) product ^= factor;
    factor = (factor & 1n) === 1n ? (factor >> 1n) ^ poly : factor >> 1n;
  }
  return product;
}

/** x^(8 * bytes) modulo the polynomial: the effect on a CRC of bytes that follow. */
function shiftOf(sizeBytes: number, bits: number, poly: bigint): bigint {
  const one = 1n << BigInt(bits - 1);
  let power = one >> 8n;
  let shift = one;
  for (let rest = BigInt(sizeBytes); rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) shift = multiply(shift, power, bits, poly);
    power = multiply(power, power, bits, poly);
  }
  return shift;
}

/**
 * Base64 of the checksum of all parts together, computed from the parts' checksums. Most parts have
 * the same length, so its shift is computed once.
 */
export function combineChecksums(
  algorithm: ChecksumAlgorithm,
  parts: readonly PartChecksum[],
): string {
  const [bits, poly] = POLYNOMIALS[algorithm] ?? [0, 0n];
  if (bits === 0) throw new RangeError(`${algorithm} of parts cannot be combined`);
  const shifts = new Map<number, bigint>();
  let crc = 0n;
  for (const { sizeBytes, checksum } of parts) {
    let shift = shifts.get(sizeBytes);
    if (shift === undefined) {
      shift = shiftOf(sizeBytes, bits, poly);
      shifts.set(sizeBytes, shift);
    }
    const own = BigInt(`0x${Buffer.from(checksum, 'base64').toString('hex')}`);
    crc = multiply(shift, crc, bits, poly) ^ own;
  }
  return Buffer.from(crc.toString(16).padStart(bits / 4, '0'), 'hex').toString('base64');
}

/** Base64 of the checksum of the parts' checksums, then `-` and their number. */
export async function compositeChecksum(
  digest: (bytes: Uint8Array) => Promise<Buffer>,
  parts: readonly PartChecksum[],
): Promise<string> {
  const all = Buffer.concat(parts.map(({ checksum }) => Buffer.from(checksum, 'base64')));
  return `${(await digest(all)).toString('base64')}-${parts.length}`;
}

/** Without quotes: MD5 of the parts' MD5, then `-` and their number. */
export function compositeEtag(etags: readonly string[]): string {
  const hash = createHash('md5');
  for (const etag of etags) hash.update(Buffer.from(etag, 'hex'));
  return `${hash.digest('hex')}-${etags.length}`;
}
