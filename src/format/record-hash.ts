/**
 * The result of the last {@link hashRecord}: four 32-bit lanes, least significant first. Each call
 * overwrites it.
 */
export const recordHash: Uint32Array = new Uint32Array(4);

const KEY_AND_VALUE_BYTES = 16;
const BLOCK_BYTES = 16;

const A = 0x239b961b;
const B = 0xab0e9789;
const C = 0x38b34ae5;
const D = 0xa1e38b93;

/**
 * Computes MurmurHash3 (x86, 128 bits, seed 0) of `key u64 | value u64 | data`, where data is
 * `view[from, to)`. The result is in {@link recordHash}. Halves of key and value are taken modulo
 * 2^32. The hash is not cryptographic.
 */
export function hashRecord(
  keyLow: number,
  keyHigh: number,
  valueLow: number,
  valueHigh: number,
  view: DataView,
  from: number,
  to: number,
): void {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let w = keyLow | 0;
  let x = keyHigh | 0;
  let y = valueLow | 0;
  let z = valueHigh | 0;
  let at = from;
  // The first block is key and value.
  for (;;) {
    a ^= mix(w, A, 15, B);
    a = (Math.imul(turn(a, 19) + b, 5) + 0x561ccd1b) | 0;
    b ^= mix(x, B, 16, C);
    b = (Math.imul(turn(b, 17) + c, 5) + 0x0bcaa747) | 0;
    c ^= mix(y, C, 17, D);
    c = (Math.imul(turn(c, 15) + d, 5) + 0x96cd1c35) | 0;
    d ^= mix(z, D, 18, A);
    d = (Math.imul(turn(d, 13) + a, 5) + 0x32ac3b17) | 0;
    if (at + BLOCK_BYTES > to) break;
    w = view.getInt32(at, true);
    x = view.getInt32(at + 4, true);
    y = view.getInt32(at + 8, true);
    z = view.getInt32(at + 12, true);
    at += BLOCK_BYTES;
  }
  if (at < to) {
    const left = to - at;
    a ^= mix(tailWord(view, at, left), A, 15, B);
    if (left > 4) b ^= mix(tailWord(view, at + 4, left - 4), B, 16, C);
    if (left > 8) c ^= mix(tailWord(view, at + 8, left - 8), C, 17, D);
    if (left > 12) d ^= mix(tailWord(view, at + 12, left - 12), D, 18, A);
  }
  finish(a, b, c, d, KEY_AND_VALUE_BYTES + to - from);
}

function finish(a: number, b: number, c: number, d: number, lengthBytes: number): void {
  b ^= lengthBytes;
  c ^= lengthBytes;
  d ^= lengthBytes;
  a = ((a ^ lengthBytes) + b + c + d) | 0;
  const e = spread(a);
  const f = spread(b + a);
  const g = spread(c + a);
  const h = spread(d + a);
  const sum = e + f + g + h;
  recordHash[0] = sum;
  recordHash[1] = f + sum;
  recordHash[2] = g + sum;
  recordHash[3] = h + sum;
}

function mix(word: number, first: number, bits: number, second: number): number {
  return Math.imul(turn(Math.imul(word, first), bits), second);
}

function turn(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function spread(word: number): number {
  let hash = word ^ (word >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The next 4 bytes of data. Bytes past the end count as 0. */
function tailWord(view: DataView, at: number, left: number): number {
  if (left >= 4) return view.getInt32(at, true);
  // Masks the bytes after the data. At the end of the view they cannot be read.
  if (at + 4 <= view.byteLength) return view.getInt32(at, true) & ((1 << (8 * left)) - 1);
  let word = 0;
  for (let i = at + left - 1; i >= at; i--) word = (word << 8) | view.getUint8(i);
  return word;
}
