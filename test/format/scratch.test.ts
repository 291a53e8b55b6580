import { expect, test } from 'vitest';
import { Scratch } from '../../src/format/scratch.ts';

test('scratch memory has the requested size, is reused, and is not kept for large requests', () => {
  const scratch = new Scratch();
  const first = scratch.take(100);
  expect(first).toHaveLength(100);
  expect(scratch.take(200_000).buffer).toBe(first.buffer);
  const larger = scratch.take(900_000);
  expect(larger).toHaveLength(900_000);
  expect(scratch.take(5).buffer).toBe(larger.buffer);
  const large = scratch.take(3_000_000);
  expect(large).toHaveLength(3_000_000);
  expect(scratch.take(5).buffer).toBe(larger.buffer);
});
