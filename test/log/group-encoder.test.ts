import { expect, test } from 'vitest';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { GroupEncoder, type EncodedWrite } from '../../src/log/group-encoder.ts';
import { groupOf, STORE_ID } from '../support/small-directory.ts';

const SEED = new ChecksumSeed(STORE_ID, 'log', 1);

function encodeBehind(lastSequence: bigint): Promise<EncodedWrite> {
  const position = { offset: 128, chain: 0, frameCount: 0, lastSequence };
  const group = groupOf([[{ key: 1n, value: 1n }], [{ key: 2n, value: 2n }]]);
  return new GroupEncoder().encode(position, SEED, { group, seal: false }, 1, () =>
    Promise.resolve(),
  );
}

test('no frame is made whose sequence begins again at 0: no reader would take it', async () => {
  const last = 2n ** 64n - 1n;
  expect((await encodeBehind(last - 2n)).after.lastSequence).toBe(last);
  await expect(encodeBehind(last - 1n)).rejects.toThrow('sequences are u64');
  await expect(encodeBehind(last)).rejects.toThrow('sequences are u64');
});
