import { expect, test } from 'vitest';
import { copyData } from '../../src/table/layer/data-copy.ts';

test('copies of every length are correct and independent of their source and each other', () => {
  const source = Uint8Array.from({ length: 4096 }, (_, i) => i % 251);
  const kept: { copy: Uint8Array; from: number }[] = [];
  for (let lengthBytes = 0; lengthBytes <= 1200; lengthBytes += 3) {
    kept.push({ copy: copyData(source, lengthBytes, 2 * lengthBytes), from: lengthBytes });
  }
  const original = source.slice();
  source.fill(0);
  for (const { copy, from } of kept) expect(copy).toEqual(original.subarray(from, 2 * from));
  for (const { copy } of kept) copy.fill(255);
  for (const { copy } of kept) expect(copy.every((byte) => byte === 255)).toBe(true);
});
