const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Formats digits in groups of three: `1,204`. */
export function formatCount(count: number | bigint): string {
  return count.toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

/**
 * Formats the integers in a text like `formatCount`, except those in names, paths and hexadecimal
 * digits.
 */
export function groupDigits(text: string): string {
  return text.replaceAll(/(?<![\w./,-])\d{4,}(?![\w/-]|[.,]\d)/g, (digits) =>
    digits.replace(/\B(?=(\d{3})+$)/g, ','),
  );
}

/** `1 batch`, `1,204 batches`. */
export function countOf(count: number | bigint, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${Number(count) === 1 ? one : many}`;
}

/** Rounds to about three digits: `310 bytes`, `1.2 MiB`. Accepts rates, which are no integers. */
export function formatBytes(bytes: number): string {
  let amount = Math.round(bytes);
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit++;
  }
  if (unit === 0) return countOf(amount, 'byte');
  return `${amount < 10 ? amount.toFixed(1) : Math.round(amount)} ${UNITS[unit]}`;
}

/** `8 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Formats a checksum with eight hexadecimal digits. */
export function formatChecksum(checksum: number): string {
  return checksum.toString(16).padStart(8, '0');
}

/** `38 ms`, `1.2 s`; from one minute on like `formatSeconds`. */
export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return formatSeconds(milliseconds / 1000);
}
