/**
 * Writes and reads the data of records in lodestore: little-endian, numbers with 7 bits per byte.
 */
export class ByteWriter {
  #bytes: Buffer;
  #at = 0;

  constructor(capacity = 64) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  #room(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#at + count));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }

  byte(value: number): this {
    this.#room(1);
    this.#bytes[this.#at++] = value;
    return this;
  }

  /** Any non-negative safe integer. */
  number(value: number): this {
    this.#room(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
    return this;
  }

  u64(value: bigint): this {
    this.#room(8);
    this.#at = this.#bytes.writeBigUInt64LE(value, this.#at);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#room(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  /** Length, then UTF-8. */
  text(value: string): this {
    const bytes = Buffer.from(value, 'utf8');
    return this.number(bytes.length).bytes(bytes);
  }

  /** Returns the bytes. Ends the writer. */
  end(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }
}

/** @throws RangeError if the bytes end too soon */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new RangeError('a record of the metadata store is truncated');
    return value;
  }

  number(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a number in a record of the metadata store does not end');
  }

  u64(): bigint {
    return this.bytes(8).readBigUInt64LE(0);
  }

  bytes(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) {
      throw new RangeError('a record of the metadata store is truncated');
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  text(): string {
    return this.bytes(this.number()).toString('utf8');
  }

  rest(): Buffer {
    return this.bytes(this.#bytes.length - this.#at);
  }
}
