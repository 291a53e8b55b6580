// Of the process, so that nobody can prepare keys that collide in somebody else's.
const SEED_LOW: number = (Math.random() * 0x1_0000_0000) | 0;
const SEED_HIGH: number = (Math.random() * 0x1_0000_0000) | 0;

/** 32 bits that all depend on all of the key, as an unsigned integer that is never 0. */
export function hashKey(low: number, high: number): number {
  let hash = Math.imul(low ^ SEED_LOW, 0x9e3779b1);
  hash ^= high ^ SEED_HIGH ^ (hash >>> 15);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash = (hash ^ (hash >>> 16)) >>> 0;
  return hash === 0 ? 1 : hash;
}
