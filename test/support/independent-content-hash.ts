/**
 * An independent implementation of the section "Content hash" of docs/FORMAT.md. Imports nothing
 * from `src/`.
 */
interface HashedRecord {
  readonly key: bigint;
  readonly value: bigint;
  readonly data: Uint8Array;
}

/** The content hash of these records: 32 hexadecimal digits. */
export function contentHashOf(records: Iterable<HashedRecord>): string {
  let sum = 0n;
  for (const record of records) sum += recordHashOf(record);
  return (sum & (2n ** 128n - 1n)).toString(16).padStart(32, '0');
}

export function recordHashOf({ key, value, data }: HashedRecord): bigint {
  const bytes = Buffer.alloc(16 + data.length);
  bytes.writeBigUInt64LE(key, 0);
  bytes.writeBigUInt64LE(value, 8);
  bytes.set(data, 16);
  const digest = murmur3(bytes, 0);
  return digest.readBigUInt64LE(0) | (digest.readBigUInt64LE(8) << 64n);
}

const C = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93] as const;
const WORD_TURNS = [15, 16, 17, 18] as const;
const STATE_TURNS = [19, 17, 15, 13] as const;
const STATE_ADDENDS = [0x561ccd1b, 0x0bcaa747, 0x96cd1c35, 0x32ac3b17] as const;

/** MurmurHash3_x86_128: the 16 bytes of its result. */
export function murmur3(bytes: Uint8Array, seed: number): Buffer {
  const state = [seed, seed, seed, seed];
  const padded = Buffer.alloc(Math.ceil(bytes.length / 16) * 16);
  padded.set(bytes);
  for (let at = 0; at < padded.length; at += 16) {
    const isWhole = at + 16 <= bytes.length;
    for (let i = 0; i < 4; i++) {
      let word = padded.readInt32LE(at + 4 * i);
      word = Math.imul(rotated(Math.imul(word, C[i]!), WORD_TURNS[i]!), C[(i + 1) % 4]!);
      state[i]! ^= word;
      if (!isWhole) continue;
      const turned = rotated(state[i]!, STATE_TURNS[i]!) + state[(i + 1) % 4]!;
      state[i] = (Math.imul(turned, 5) + STATE_ADDENDS[i]!) | 0;
    }
  }
  for (let i = 0; i < 4; i++) state[i]! ^= bytes.length;
  blend(state);
  for (let i = 0; i < 4; i++) state[i] = avalanche(state[i]!);
  blend(state);
  const result = Buffer.alloc(16);
  state.forEach((word, i) => result.writeInt32LE(word | 0, 4 * i));
  return result;
}

function blend(state: number[]): void {
  state[0] = (state[0]! + state[1]! + state[2]! + state[3]!) | 0;
  for (let i = 1; i < 4; i++) state[i] = (state[i]! + state[0]) | 0;
}

function rotated(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function avalanche(word: number): number {
  let hash = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
