/**
 * Records as a storage server would write them, each from its number alone, so that every run and
 * every peer gets the same. Keys are ascending ids with small gaps, or 64 random bits. Values are
 * locations: a volume in the upper 24 bits, and in the lower 40 an offset that ascends. Data are 16
 * pseudo-random bytes.
 *
 * @typedef {'ascending' | 'random'} KeyKind
 */
export const DATA_BYTES = 16;

/** Size of a record in bytes: key, value, data. */
export const RECORD_BYTES = 16 + DATA_BYTES;

const words = new Uint32Array(2);
const whole = new BigUint64Array(words.buffer);

/** A 32-bit integer hash; a permutation. @type {(x: number) => number} */
export function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** @type {(low: number, high: number) => bigint} */
function join(low, high) {
  words[0] = low;
  words[1] = high;
  return whole[0];
}

/** Key of record `i`. @type {(kind: KeyKind, i: number) => bigint} */
export function keyAt(kind, i) {
  if (kind === 'random') return join(mix(i), mix(i ^ 0x5bd1e995));
  const id = 4 * i + 1 + (mix(i) & 1);
  return join(id >>> 0, Math.floor(id / 0x1_0000_0000));
}

/**
 * A key near that of record `i` that no record has. @type {(kind: KeyKind, i: number) => bigint}
 */
export function absentKeyAt(kind, i) {
  if (kind === 'random') return join(mix(i), mix(i ^ 0x27d4eb2f));
  const id = 4 * i + 3;
  return join(id >>> 0, Math.floor(id / 0x1_0000_0000));
}

/**
 * Value of record `i`; `version` tells overwrites apart. @type {(i: number, version?: number) =>
 * bigint}
 */
export function valueAt(i, version = 0) {
  const jitter = mix(i ^ Math.imul(version, 0x9e3779b9)) & 0x3ff000;
  const volume = 1 + (i >>> 18) + version;
  return join((((i & 0x3ff) << 22) | jitter) >>> 0, (volume << 8) | ((i >>> 10) & 0xff));
}

/**
 * Fills 16 bytes of `target` with the data of record `i`. @type {(target: Uint32Array, at: number,
 * i: number) => void}
 */
function fillData(target, at, i) {
  for (let word = 0; word < 4; word++) target[at + word] = mix(Math.imul(i, 4) + word + 0x1234567);
}

const SLAB_BYTES = 1024 * 1024;
let slab = new Uint32Array(0);
let slabUsed = 0;

/**
 * 16 bytes within a larger buffer, as they come from a socket. Buffers of their own would be freed
 * one by one in the background, on a core that the store under test needs.
 * @type {(i: number) => Uint8Array}
 */
export function dataAt(i) {
  if (slabUsed === slab.length) {
    slab = new Uint32Array(SLAB_BYTES / 4);
    slabUsed = 0;
  }
  fillData(slab, slabUsed, i);
  slabUsed += DATA_BYTES / 4;
  return new Uint8Array(slab.buffer, 4 * slabUsed - DATA_BYTES, DATA_BYTES);
}

/**
 * Records `from` to `to` as one batch.
 * @type {(kind: KeyKind, from: number, to: number) => import('../peers/peer.mjs').Batch}
 */
export function batchOf(kind, from, to) {
  const batch = { keys: [], values: [], data: [] };
  for (let i = from; i < to; i++) {
    batch.keys.push(keyAt(kind, i));
    batch.values.push(valueAt(i));
    batch.data.push(dataAt(i));
  }
  return batch;
}

/**
 * Overwrites of records chosen at random below `count`, one in ten of them a delete.
 * @type {(kind: KeyKind, count: number, size: number, round: number) =>
 *   import('../peers/peer.mjs').Batch}
 */
export function churnOf(kind, count, size, round) {
  const batch = { keys: [], values: [], data: [] };
  for (let i = 0; i < size; i++) {
    const draw = mix(round * size + i + 0x51ed270b);
    const record = draw % count;
    batch.keys.push(keyAt(kind, record));
    batch.values.push(valueAt(record, round + 1));
    batch.data.push(mix(draw) % 10 === 0 ? null : dataAt(record + round));
  }
  return batch;
}

/**
 * Batches with ever new keys. Some are made ahead, so that a measured loop spends no time on them.
 * @param {number} start Number of the first record.
 * @param {number} size Records of a batch.
 * @param {number} aheadCount Batches made ahead.
 * @param {KeyKind} keys
 */
export function batchSource(start, size, aheadCount, keys = 'ascending') {
  let next = start;
  const make = () => {
    next += size;
    return batchOf(keys, next - size, next);
  };
  const ahead = Array.from({ length: aheadCount }, make);
  let taken = 0;
  return () => (taken < ahead.length ? ahead[taken++] : make());
}

/**
 * Keys to look up, in random order; one in ten has no record.
 * @type {(kind: KeyKind, count: number, queries: number) => bigint[]}
 */
export function queriesOf(kind, count, queries) {
  return Array.from({ length: queries }, (_, i) => {
    const record = mix(i ^ 0x3c6ef372) % count;
    return i % 10 === 9 ? absentKeyAt(kind, record) : keyAt(kind, record);
  });
}
