import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from '@node-rs/crc32';
import { expect, test } from 'vitest';
import { BodyDigest } from '../../../examples/storage-node/src/s3/payload/body-digest.ts';

test.each([
  ['no piece', []],
  ['an empty piece', [0]],
  ['one piece', [1000]],
  ['an empty piece before others', [0, 10, 20]],
  ['several pieces', [1, 70_000, 0, 3]],
])('the digests of a body of %s are those of all its bytes', async (_, sizes) => {
  const pieces = sizes.map((size) => randomBytes(size));
  const all = Buffer.concat(pieces);
  const digest = new BodyDigest({ sha256: true, algorithms: ['CRC32', 'SHA1'] });
  for (const piece of pieces) digest.update(piece);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(all));
  expect(await digest.finish()).toEqual({
    sizeBytes: all.length,
    md5: createHash('md5').update(all).digest(),
    sha256: createHash('sha256').update(all).digest(),
    checksums: new Map([
      ['CRC32', sum],
      ['SHA1', createHash('sha1').update(all).digest()],
    ]),
  });
});

test('MD5, SHA-1, SHA-256 and CRC64NVME count for the length of a turn', () => {
  const slow = new BodyDigest({ sha256: true, algorithms: ['SHA1', 'SHA256', 'CRC64NVME'] });
  expect(slow.slowDigests).toBe(5);
  expect(new BodyDigest({ sha256: false, algorithms: ['CRC32', 'CRC32C'] }).slowDigests).toBe(1);
});
