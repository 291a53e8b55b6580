// Random per process, so that nobody can prepare colliding keys.
let seedLow: number = (Math.random() * 0x1_0000_0000) | 0;
let seedHigh: number = (Math.random() * 0x1_0000_0000) | 0;

/** The seed of this process's key hashes. */
export type KeyHashSeed = readonly [low: number, high: number];

export function keyHashSeed(): KeyHashSeed {
  return [seedLow, seedHigh];
}

/**
 * Sets the seed of a worker thread to that of the thread that reads its indexes. Must be called
 * before any key is hashed.
 */
export function adoptKeyHashSeed([low, high]: KeyHashSeed): void {
  seedLow = low;
  seedHigh = high;
}

/**
 * Hashes a key to 32 bits, as an unsigned integer that is never 0. Every bit depends on the whole
 * key.
 */
export function hashKey(low: number, high: number): number {
  let hash = Math.imul(low ^ seedLow, 0x9e3779b1);
  hash ^= high ^ seedHigh ^ (hash >>> 15);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash = (hash ^ (hash >>> 16)) >>> 0;
  return hash === 0 ? 1 : hash;
}
