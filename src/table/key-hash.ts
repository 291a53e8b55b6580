// Of the process, so that nobody can prepare keys that collide in somebody else's.
const SEED_LOW: number = (Math.random() * 0x1_0000_0000) | 0;
const SEED_HIGH: number = (Math.random() * 0x1_0000_0000) | 0;

/** 32 bits that all depend on all of the key, as a signed integer. */
export function hashKey(low: number, high: number): number {
  let hash = Math.imul(low ^ SEED_LOW, 0x9e3779b1);
  hash ^= high ^ SEED_HIGH ^ (hash >>> 15);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** 1 to 255, independent enough of {@link hashKey} to tell apart keys whose hashes are neighbours. */
export function tagOf(low: number, high: number): number {
  const tag = (Math.imul(low, 0x9e3779b1) + Math.imul(high, 0x85ebca77)) >>> 24;
  return tag === 0 ? 1 : tag;
}
