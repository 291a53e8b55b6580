/** @type {(sorted: ArrayLike<number>, share: number) => number} */
function at(sorted, share) {
  const index = Math.ceil(share * sorted.length) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, index))] ?? Number.NaN;
}

/** @type {(values: readonly number[]) => number} */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return Number.NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * @param {ArrayLike<number>} values
 * @returns {{ p50: number, p99: number, max: number, mean: number }}
 */
export function quantiles(values) {
  const sorted = Float64Array.from(values).sort();
  let sum = 0;
  for (const value of sorted) sum += value;
  return {
    p50: at(sorted, 0.5),
    p99: at(sorted, 0.99),
    max: sorted.at(-1) ?? Number.NaN,
    mean: sum / sorted.length,
  };
}

/**
 * The rounds of a case as one number: median, minimum and maximum.
 * @typedef {{ median: number, min: number, max: number }} Spread
 * @type {(values: readonly number[]) => Spread}
 */
export function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * Medians, field by field, of results that hold numbers; fields that are no number keep their first
 * value.
 * @param {readonly Record<string, any>[]} samples
 * @returns {Record<string, any>}
 */
export function medians(samples) {
  const result = { ...samples[0] };
  for (const [name, value] of Object.entries(result)) {
    if (typeof value === 'number') result[name] = median(samples.map((sample) => sample[name]));
  }
  return result;
}

/**
 * Ratio of our figure to another. Rounds are compared one by one where both were measured in the
 * same rounds; else the spread is the widest that the samples allow.
 * @param {readonly number[]} ours
 * @param {readonly number[]} theirs
 * @param {'more' | 'less'} better Which of two figures is the better one.
 * @returns {Spread | undefined} Above 1 we are ahead. Undefined if there is nothing to compare.
 */
export function ratioSpread(ours, theirs, better) {
  if (ours.length === 0 || theirs.length === 0) return undefined;
  const [over, under] = better === 'more' ? [ours, theirs] : [theirs, ours];
  if (over.length === under.length) return spread(over.map((value, i) => value / under[i]));
  return {
    median: median(over) / median(under),
    min: Math.min(...over) / Math.max(...under),
    max: Math.max(...over) / Math.min(...under),
  };
}
