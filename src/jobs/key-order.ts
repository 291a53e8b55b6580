const RADIX_BITS = 16;
const BUCKETS = 1 << RADIX_BITS;

function isAscending(low: Uint32Array, high: Uint32Array, count: number): boolean {
  for (let i = 1; i < count; i++) {
    const before = high[i - 1]!;
    const here = high[i]!;
    if (here < before || (here === before && low[i]! < low[i - 1]!)) return false;
  }
  return true;
}

/** One stable counting pass over 16 bits of the keys; false when all of them are equal. */
function pass(
  keys: Uint32Array,
  shift: number,
  from: Uint32Array,
  to: Uint32Array,
  counts: Uint32Array,
): boolean {
  counts.fill(0);
  const count = from.length;
  for (let i = 0; i < count; i++) counts[(keys[i]! >>> shift) & (BUCKETS - 1)]!++;
  if (counts[(keys[0]! >>> shift) & (BUCKETS - 1)] === count) return false;
  let sum = 0;
  for (let b = 0; b < BUCKETS; b++) {
    const size = counts[b]!;
    counts[b] = sum;
    sum += size;
  }
  for (let i = 0; i < count; i++) {
    const index = from[i]!;
    to[counts[(keys[index]! >>> shift) & (BUCKETS - 1)]!++] = index;
  }
  return true;
}

/**
 * The indices 0 … count-1 in ascending key order; equal keys keep their order. Ascending input, the usual
 * case, costs one look.
 */
export function keyOrder(low: Uint32Array, high: Uint32Array, count: number): Uint32Array {
  let order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  if (count < 2 || isAscending(low, high, count)) return order;
  if (count < 2048) return order.sort((a, b) => high[a]! - high[b]! || low[a]! - low[b]! || a - b);
  let other = new Uint32Array(count);
  const counts = new Uint32Array(BUCKETS);
  for (const keys of [low.subarray(0, count), high.subarray(0, count)]) {
    for (const shift of [0, RADIX_BITS]) {
      if (pass(keys, shift, order, other, counts)) [order, other] = [other, order];
    }
  }
  return order;
}
