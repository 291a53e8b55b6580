import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const loads = vi.hoisted(() => ({ count: 0 }));

vi.mock('../../src/fs/lease-library.ts', () => ({
  loadLeaseLibrary: (): never => {
    loads.count++;
    throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  },
}));

test('code of the lease that cannot be loaded is reported when a lease is taken, and not before', async () => {
  const directory = await temporaryDirectory();
  const stray: unknown[] = [];
  const onStray = (reason: unknown): void => {
    stray.push(reason);
  };
  process.on('unhandledRejection', onStray);
  try {
    const lock = await nodeFileSystem.tryLock(join(directory, 'lock'));
    expect(lock).toBeDefined();
    await vi.waitUntil(() => loads.count === 1);
    // Node.js reports a rejection at the end of the turn in which nobody handled it.
    for (let turn = 0; turn < 3; turn++) await setImmediate();
    expect(stray).toEqual([]);
    const options = { staleMs: 10_000, onLost: () => undefined };
    const taking = nodeFileSystem.takeLease(join(directory, 'lease'), options);
    await expect(taking).rejects.toMatchObject({ code: 'EMFILE' });
    await lock?.release();
  } finally {
    process.off('unhandledRejection', onStray);
  }
});
