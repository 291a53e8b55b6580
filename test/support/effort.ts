import { onTestFailed } from 'vitest';

/** `npm run test:full` sets it. */
const isFull = process.env['LODESTORE_TEST_FULL'] !== undefined;

const PART = 4;

/**
 * How often a property is tried: as often as given in a full run, else a quarter. Each run has a
 * new seed.
 */
export function runs(full: number): number {
  return isFull ? full : Math.ceil(full / PART);
}

/** Which of many cases are tried: all in a full run, else each `part`-th. */
export function everyNth(part: number): number {
  return isFull ? 1 : part;
}

/**
 * Which bits of each byte a test flips: all in a full run, else one of each byte, drawn anew for
 * each run. The seed is printed when the running test fails; LODESTORE_TEST_SEED sets it.
 */
export function bitsOfBytes(lengthBytes: number): number[] {
  if (isFull) return Array.from({ length: 8 * lengthBytes }, (_, bit) => bit);
  const given = process.env['LODESTORE_TEST_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  onTestFailed(() => console.error(`LODESTORE_TEST_SEED=${seed} repeats the failed test`));
  return Array.from({ length: lengthBytes }, (_, at) => 8 * at + (hashOf(seed ^ at) & 7));
}

function hashOf(number: number): number {
  const mixed = Math.imul(number ^ (number >>> 16), 0x45d9f3b);
  return Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b) >>> 16;
}
