/** @type {(value: number, digits?: number) => string} */
export function number(value, digits = 0) {
  if (!Number.isFinite(value)) return '–';
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/**
 * Three significant digits, with separators: 0.123, 4.56, 78.9, 12,345. @type {(value: number) =>
 * string}
 */
export function short(value) {
  const size = Math.abs(value);
  return number(value, size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** @type {(perSecond: number) => string} */
export function rate(perSecond) {
  if (perSecond >= 1e6) return `${short(perSecond / 1e6)} M/s`;
  return `${number(perSecond)}/s`;
}

/** @type {(milliseconds: number) => string} */
export function duration(milliseconds) {
  if (!Number.isFinite(milliseconds)) return '–';
  if (milliseconds >= 10_000) return `${short(milliseconds / 1000)} s`;
  if (milliseconds >= 1) return `${short(milliseconds)} ms`;
  return `${short(milliseconds * 1000)} µs`;
}

/** @type {(bytes: number) => string} */
export const megabytes = (bytes) => `${short(bytes / 1e6)} MB`;

/** @type {(value: number) => string} */
export const times = (value) => `${number(value, 2)} x`;

/** A count in words: 5 million, 250 thousand. @type {(count: number) => string} */
export function many(count) {
  if (count >= 1e6) return `${count / 1e6} million`;
  return count >= 1e3 ? `${count / 1e3} thousand` : `${count}`;
}

/** @type {(spread: import('./figures.mjs').Spread, text: (value: number) => string) => string} */
export function withSpread({ median, min, max }, text) {
  return min === max ? text(median) : `${text(median)} (${text(min)} – ${text(max)})`;
}
