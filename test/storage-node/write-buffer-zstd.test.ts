import { expect, onTestFinished, test, vi } from 'vitest';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, put, SMALL } from './support/nodes.ts';

test('a deferred PUT that cannot be compressed later is refused, not acknowledged', async () => {
  const files = new CrashFs();
  const before = await StorageNode.open('/node', SMALL, { ...MACHINE, files });
  await before.createBucket('d', {
    mode: 'keep',
    acknowledge: 'deferred',
    compression: 'zstd',
  });
  await before.close();
  // On another machine, or after another installation, the library is not there.
  vi.resetModules();
  vi.doMock('zstd-napi/binding.js', () => {
    throw new Error('no native part');
  });
  onTestFinished(() => {
    vi.doUnmock('zstd-napi/binding.js');
    vi.resetModules();
  });
  const { StorageNode: Without } = await import('../../examples/storage-node/src/storage-node.ts');
  const node = await Without.open('/node', SMALL, { ...MACHINE, files });
  await expect(put(node, 'd', 'a', bytesOf(1_000))).rejects.toMatchObject({ code: 'NO_ZSTD' });
  expect(await node.info('d', 'a')).toBeUndefined();
  expect((await node.figures()).writeBuffer).toMatchObject({ puts: 0, bytes: 0, acknowledged: 0 });
  await node.close();
});
