import type { ByteName } from './byte-name.ts';

export const HASH_KEY_BYTES = 16;

/** 100 bits for a name in a bucket. */
export interface NameHash {
  /** 60 bits: the object's key, unless other objects occupy it. */
  readonly home: bigint;
  /** 40 bits. */
  readonly mark: number;
}

export type NameHasher = (bucketId: number, name: ByteName) => NameHash;

const HOME_MASK = (1n << 60n) - 1n;

/**
 * HalfSipHash-2-4 with two keys of the node. Without the keys, nobody can choose names that
 * collide. Its 32-bit arithmetic is fast in JavaScript.
 */
export function nameHasher(key: Uint8Array): NameHasher {
  const view = new DataView(key.buffer, key.byteOffset, HASH_KEY_BYTES);
  const one = new HalfSip(view.getUint32(0, true), view.getUint32(4, true));
  const other = new HalfSip(view.getUint32(8, true), view.getUint32(12, true));
  return (bucketId, name) => {
    one.hash(bucketId, name);
    other.hash(bucketId, name);
    const home = (BigInt(one.high) << 32n) | BigInt(one.low);
    return { home: home & HOME_MASK, mark: (other.high & 0xff) * 2 ** 32 + other.low };
  };
}

class HalfSip {
  readonly #k0: number;
  readonly #k1: number;
  low = 0;
  high = 0;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;

  constructor(k0: number, k1: number) {
    this.#k0 = k0;
    this.#k1 = k1;
  }

  hash(bucketId: number, name: ByteName): void {
    this.#v0 = this.#k0;
    this.#v1 = this.#k1 ^ 0xee;
    this.#v2 = 0x6c796765 ^ this.#k0;
    this.#v3 = 0x74656462 ^ this.#k1;
    this.#take(bucketId | 0);
    const whole = name.length & ~3;
    for (let i = 0; i < whole; i += 4) {
      this.#take(
        name.charCodeAt(i) |
          (name.charCodeAt(i + 1) << 8) |
          (name.charCodeAt(i + 2) << 16) |
          (name.charCodeAt(i + 3) << 24),
      );
    }
    let last = (name.length + 4) << 24;
    for (let i = whole; i < name.length; i++) last |= name.charCodeAt(i) << (8 * (i - whole));
    this.#take(last);
    this.#v2 ^= 0xee;
    this.#rounds(4);
    this.low = (this.#v1 ^ this.#v3) >>> 0;
    this.#v1 ^= 0xdd;
    this.#rounds(4);
    this.high = (this.#v1 ^ this.#v3) >>> 0;
  }

  #take(word: number): void {
    this.#v3 ^= word;
    this.#rounds(2);
    this.#v0 ^= word;
  }

  #rounds(count: number): void {
    let v0 = this.#v0;
    let v1 = this.#v1;
    let v2 = this.#v2;
    let v3 = this.#v3;
    for (let i = 0; i < count; i++) {
      v0 = (v0 + v1) | 0;
      v1 = (v1 << 5) | (v1 >>> 27);
      v1 ^= v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = (v3 << 8) | (v3 >>> 24);
      v3 ^= v2;
      v0 = (v0 + v3) | 0;
      v3 = (v3 << 7) | (v3 >>> 25);
      v3 ^= v0;
      v2 = (v2 + v1) | 0;
      v1 = (v1 << 13) | (v1 >>> 19);
      v1 ^= v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
