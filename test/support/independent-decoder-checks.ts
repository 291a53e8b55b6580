import { decompress } from 'zstd-napi';

/** A file violates docs/FORMAT.md. */
export class FormatError extends Error {
  override readonly name: string = 'FormatError';
}

export function demand(condition: boolean, what: string): asserts condition {
  if (!condition) throw new FormatError(what);
}

function tableOf(reflectedPolynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) {
      rest = rest & 1 ? (rest >>> 1) ^ reflectedPolynomial : rest >>> 1;
    }
    return rest >>> 0;
  });
}

const CASTAGNOLI: Uint32Array = tableOf(0x82f63b78);
const IEEE: Uint32Array = tableOf(0xedb88320);

function crc(table: Uint32Array, parts: readonly Uint8Array[]): number {
  let rest = 0xffffffff;
  for (const part of parts) {
    for (const byte of part) rest = (table[(rest ^ byte) & 0xff] ?? 0) ^ (rest >>> 8);
  }
  return ~rest >>> 0;
}

export function crc32c(...parts: Uint8Array[]): number {
  return crc(CASTAGNOLI, parts);
}

export function crc32(...parts: Uint8Array[]): number {
  return crc(IEEE, parts);
}

/** Little-endian fields of some bytes. */
export class Fields {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(at: number): number {
    return this.#view.getUint8(at);
  }

  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  u64(at: number): bigint {
    return this.#view.getBigUint64(at, true);
  }

  /** A u64 that must be below 2^53. */
  number(at: number): number {
    const value = this.u64(at);
    demand(value < 2n ** 53n, `the number at ${at} is below 2^53`);
    return Number(value);
  }

  /** A file number or an epoch: a u64 that must be below 2^52. */
  fileNumber(at: number): number {
    const value = this.number(at);
    demand(value < 2 ** 52, `the file number at ${at} is below 2^52`);
    return value;
  }

  hex(from: number, to: number): string {
    return Buffer.from(this.bytes.subarray(from, to)).toString('hex');
  }

  demandZero(from: number, to: number, what: string): void {
    demand(allZero(this.bytes.subarray(from, to)), `${what}: reserved bytes are 0`);
  }
}

export function allZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

export function inflate(payload: Uint8Array): Uint8Array {
  try {
    return new Uint8Array(decompress(payload));
  } catch {
    throw new FormatError('a payload is zstd');
  }
}
