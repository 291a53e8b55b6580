import { describe, expect, it } from 'vitest';
import { MAX_U64 } from '../../src/base/limits.ts';
import { KeyCount } from '../../src/replay/key-count.ts';
import { Chunk } from '../../src/table/chunk/chunk.ts';
import { randomWords } from '../support/random.ts';
import { columnsOf } from '../support/columns.ts';

const words = randomWords(11);
const randomKey = (): bigint => (BigInt(words()) << 32n) | BigInt(words());
const ascending = (keys: readonly bigint[]): bigint[] =>
  [...new Set(keys)].toSorted((a, b) => (a < b ? -1 : 1));
const steps = (count: number, from: bigint, step: bigint): bigint[] =>
  Array.from({ length: count }, (_, i) => from + BigInt(i) * step);

/** The keys of chunks. */
const CHUNKS: Record<string, bigint[]> = {
  'one key': [77n],
  'dense, low halves': steps(3_000, 5n, 2n),
  'dense, across 2 ** 32': steps(3_000, 2n ** 32n - 2_000n, 2n),
  'spread over all keys': ascending([0n, MAX_U64, ...Array.from({ length: 3_000 }, randomKey)]),
  clustered: ascending([...steps(1_500, 9n, 1n), ...steps(1_500, MAX_U64 - 9_000n, 3n)]),
  'the highest keys': steps(200, MAX_U64 - 199n, 1n),
};

/** The keys that are sought, made from those of a chunk. */
const SOUGHT: Record<string, (keys: readonly bigint[]) => bigint[]> = {
  'all keys': (keys) => [...keys],
  'every 100th key': (keys) => keys.filter((_, i) => i % 100 === 0),
  'the last key': (keys) => [keys.at(-1)!],
  'keys beside': (keys) => keys.flatMap((key) => [key - 1n, key, key + 1n]).filter(isU64),
  'keys far below, within and above': (keys) => [
    0n,
    1n,
    ...keys.filter((_, i) => i % 7 === 3),
    MAX_U64,
  ],
  'random keys': () => Array.from({ length: 1_000 }, randomKey),
  none: () => [],
};

function isU64(key: bigint): boolean {
  return key >= 0n && key <= MAX_U64;
}

function placesOf(keys: readonly bigint[]): Uint32Array {
  return Uint32Array.from(
    keys.flatMap((key) => [Number(key & 0xffff_ffffn), Number(key >> 32n), 0]),
  );
}

describe('KeyCount', () => {
  const cases = Object.keys(CHUNKS).flatMap((chunk) =>
    Object.keys(SOUGHT).map((sought) => ({ chunk, sought })),
  );

  it.each(cases)('counts the keys of a chunk: $chunk; $sought', ({ chunk, sought }) => {
    const keys = CHUNKS[chunk]!;
    const asked = ascending(SOUGHT[sought]!(keys));
    const records = keys.map((key) => ({ key, value: 1n, data: new Uint8Array(4) }));
    const counter = new KeyCount(new Chunk(columnsOf(records)).keyColumns);
    const own = new Set(keys);
    expect(counter.countIn(placesOf(asked))).toBe(asked.filter((key) => own.has(key)).length);
  });
});
