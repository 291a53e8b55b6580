const SMALLEST_CAPACITY_BYTES = 64;

/**
 * The bytes of a file, copied on the first change after sharing. A million crash states of one file
 * take memory only for the bytes in which they differ.
 */
export class Content {
  /**
   * Zero from `#sizeBytes` to its end. Its length is a multiple of 4. Never changed once shared.
   */
  #buffer: Uint8Array;
  #sizeBytes: number;
  #shared: boolean;
  #hash: number | undefined;

  private constructor(
    buffer: Uint8Array,
    sizeBytes: number,
    shared: boolean,
    hash: number | undefined,
  ) {
    this.#buffer = buffer;
    this.#sizeBytes = sizeBytes;
    this.#shared = shared;
    this.#hash = hash;
  }

  /** A content of `sizeBytes` zeros. */
  static zeros(sizeBytes = 0): Content {
    if (sizeBytes === 0) return new Content(NO_BYTES, 0, true, undefined);
    return new Content(new Uint8Array(capacityFor(sizeBytes)), sizeBytes, false, undefined);
  }

  static of(bytes: Uint8Array): Content {
    const content = Content.zeros(bytes.length);
    content.write(bytes, 0);
    return content;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The bytes, read-only, valid until the next change. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#sizeBytes);
  }

  /** A content with the same bytes that changes independently of this one. O(1). */
  share(): Content {
    this.#shared = true;
    return new Content(this.#buffer, this.#sizeBytes, true, this.#hash);
  }

  /** Copies bytes from `position` on into `target`. Returns the number copied; 0 at the end. */
  read(target: Uint8Array, position: number): number {
    const lengthBytes = Math.min(target.length, Math.max(0, this.#sizeBytes - position));
    target.set(this.#buffer.subarray(position, position + lengthBytes));
    return lengthBytes;
  }

  write(source: Uint8Array, position: number): void {
    if (source.length === 0) return;
    const endBytes = position + source.length;
    this.#own(endBytes);
    this.#buffer.set(source, position);
    if (endBytes > this.#sizeBytes) this.#sizeBytes = endBytes;
  }

  /** Sets the bytes in [start, end), up to the size, to one value. */
  fill(value: number, startBytes: number, endBytes: number): void {
    this.#own(this.#sizeBytes);
    this.#buffer.fill(value, startBytes, Math.min(endBytes, this.#sizeBytes));
  }

  truncate(sizeBytes: number): void {
    this.#own(sizeBytes);
    if (sizeBytes < this.#sizeBytes) this.#buffer.fill(0, sizeBytes, this.#sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  /** A 53-bit hash of size and bytes. */
  hash(): number {
    this.#hash ??= hashWords(this.#buffer, this.#sizeBytes);
    return this.#hash;
  }

  /** Makes the buffer this content's own, with room for at least `neededBytes`. */
  #own(neededBytes: number): void {
    this.#hash = undefined;
    const fits = neededBytes <= this.#buffer.length;
    if (fits && !this.#shared) return;
    const grown = neededBytes > this.#sizeBytes && !fits ? neededBytes * 1.5 : neededBytes;
    const buffer = new Uint8Array(capacityFor(Math.max(this.#sizeBytes, grown)));
    buffer.set(this.#buffer.subarray(0, this.#sizeBytes));
    this.#buffer = buffer;
    this.#shared = false;
  }
}

const NO_BYTES = new Uint8Array(0);

function capacityFor(sizeBytes: number): number {
  return Math.max(SMALLEST_CAPACITY_BYTES, (Math.ceil(sizeBytes) + 7) & ~7);
}

function hashWords(buffer: Uint8Array, sizeBytes: number): number {
  const words = new Int32Array(buffer.buffer, buffer.byteOffset, (sizeBytes + 3) >>> 2);
  let a = Math.imul(sizeBytes, 0x85eb_ca6b) ^ 0x1b87_3593;
  let b = Math.imul(sizeBytes, 0xc2b2_ae35) ^ 0x27d4_eb2f;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    a = Math.imul(a ^ word, 0x0100_0193);
    a ^= a >>> 15;
    b = Math.imul(b + word, 0x2c1b_3c6d) ^ (b >>> 13);
  }
  return joinHash(a, b);
}

/** Combines two 32-bit hashes into a number of 53 bits. */
export function joinHash(a: number, b: number): number {
  return ((a ^ (a >>> 11)) & 0x1f_ffff) * 0x1_0000_0000 + (b >>> 0);
}

/** A 53-bit hash of a string and a number. */
export function hashPair(text: string, value: number): number {
  let a = (value | 0) ^ 0x165667b1;
  let b = Math.floor(value / 0x1_0000_0000) ^ 0x9e37_79b1;
  for (let index = 0; index < text.length; index++) {
    const unit = text.codePointAt(index) ?? 0;
    a = Math.imul(a ^ unit, 0x0100_0193);
    b = Math.imul(b + unit, 0x2c1b_3c6d) ^ (b >>> 13);
  }
  a = Math.imul(a ^ (a >>> 16), 0x7feb_352d);
  b = Math.imul(b ^ (b >>> 15) ^ a, 0x846c_a68b);
  return joinHash(a ^ (a >>> 15), b ^ (b >>> 16));
}
