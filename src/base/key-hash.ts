// Of the process, so that nobody can prepare keys that collide in somebody else's.
let seedLow: number = (Math.random() * 0x1_0000_0000) | 0;
let seedHigh: number = (Math.random() * 0x1_0000_0000) | 0;

/** What the hashes of this process depend on beside the key. */
export type KeyHashSeed = readonly [low: number, high: number];

export function keyHashSeed(): KeyHashSeed {
  return [seedLow, seedHigh];
}

/**
 * Makes a worker thread hash as the thread that started it, which reads its indexes. Called before
 * any key is hashed.
 */
export function adoptKeyHashSeed([low, high]: KeyHashSeed): void {
  seedLow = low;
  seedHigh = high;
}

/** 32 bits that all depend on all of the key, as an unsigned integer that is never 0. */
export function hashKey(low: number, high: number): number {
  let hash = Math.imul(low ^ seedLow, 0x9e3779b1);
  hash ^= high ^ seedHigh ^ (hash >>> 15);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash = (hash ^ (hash >>> 16)) >>> 0;
  return hash === 0 ? 1 : hash;
}
