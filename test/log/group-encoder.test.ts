import { expect, test } from 'vitest';
import { finishAtOnce } from '../../src/base/flow.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { GroupEncoder, type EncodedWrite } from '../../src/log/group-encoder.ts';
import { groupOf, STORE_ID } from '../support/small-directory.ts';

const SEED = new ChecksumSeed(STORE_ID, 'log', 1);

function encodeBehind(lastSequence: bigint): EncodedWrite {
  const position = { offset: 128, chain: 0, frameCount: 0, lastSequence };
  const group = groupOf([[{ key: 1n, value: 1n }], [{ key: 2n, value: 2n }]]);
  const parts = { group, seal: false };
  return finishAtOnce(new GroupEncoder().encode(position, SEED, parts));
}

test('a frame whose sequence would wrap to 0 is not made, because no reader would accept it', () => {
  const last = 2n ** 64n - 1n;
  expect(encodeBehind(last - 2n).after.lastSequence).toBe(last);
  expect(() => encodeBehind(last - 1n)).toThrow('sequences are u64');
  expect(() => encodeBehind(last)).toThrow('sequences are u64');
});
