import { onTestFailed } from 'vitest';

/** Set by `npm run test:full`. */
export const isFull = process.env['LODESTORE_TEST_FULL'] !== undefined;

const PART = 4;
const START = Math.floor(Math.random() * 1_000_000);

/**
 * The number of runs of a property: `full` in a full run, else a part. Each run has a new seed.
 */
export function runs(full: number, part: number = PART): number {
  return isFull ? full : Math.ceil(full / part);
}

/** The step between tested cases: 1 in a full run, else `part`. */
export function everyNth(part: number): number {
  return isFull ? 1 : part;
}

/**
 * The numbers below `count` to test: all in a full run, else each `part`-th. Tests with other
 * `turn`s test the others. The first number is random; a failure must name the number.
 */
export function casesOf(count: number, part: number, turn = 0): number[] {
  const first = (START + turn) % part;
  return Array.from({ length: count }, (_, i) => i).filter((i) => isFull || i % part === first);
}

/**
 * The bits of each byte to flip: all in a full run, else one random bit per byte. The seed is
 * printed when the running test fails; LODESTORE_TEST_SEED sets it.
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
