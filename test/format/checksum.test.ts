import { expect, test } from 'vitest';
import { ancestorChecksum, ChecksumSeed } from '../../src/format/checksum.ts';
import { crc32, crc32c } from '../support/independent-decoder-checks.ts';
import { STORE_ID } from '../support/small-directory.ts';

const BYTES = new TextEncoder().encode('123456789');

test('the two checksums have the published check values', () => {
  expect(crc32c(BYTES)).toBe(0xe306_9283);
  expect(crc32(BYTES)).toBe(0xcbf4_3926);
  expect(ancestorChecksum(BYTES)).toBe((0xcbf4_3926 ^ 0xaf) >>> 0);
});

test('a seed consists of store id, kind, number and offset, in this order', () => {
  const seed = Buffer.alloc(33, 0x5a);
  seed[16] = 2;
  seed.writeBigUInt64LE(2n ** 40n + 7n, 17);
  seed.writeBigUInt64LE(2n ** 33n + 1n, 25);
  const checksum = new ChecksumSeed(STORE_ID, 'snapshot', 2 ** 40 + 7).checksum(BYTES, 2 ** 33 + 1);
  expect(checksum).toBe(crc32c(seed, BYTES));
});
