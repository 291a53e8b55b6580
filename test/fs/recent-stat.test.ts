import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const clock = vi.hoisted(() => ({ nowMs: 1_000 }));

vi.mock('../../src/base/timers.ts', async (original) => ({
  ...(await original<typeof import('../../src/base/timers.ts')>()),
  monotonicMs: (): number => clock.nowMs,
}));

test.each(['async', 'blocking'])(
  'facts about an open file are as old as allowed: %s',
  async (way) => {
    const path = join(await temporaryDirectory(), 'file');
    const calls = way === 'async' ? nodeFileSystem : nodeFileSystem.blocking!;
    const file = await calls.open(path, 'wx');
    expect(file.statSync(20)).toEqual({ sizeBytes: 0, linkCount: 1, isNamed: true });
    await file.write(new Uint8Array(5), 0);
    clock.nowMs += 19;
    expect(file.statSync(20)).toEqual({ sizeBytes: 0, linkCount: 1, isNamed: true });
    expect(file.statSync()).toEqual({ sizeBytes: 5, linkCount: 1, isNamed: true });
    await file.write(new Uint8Array(5), 5);
    clock.nowMs += 20;
    expect(file.statSync(20)).toEqual({ sizeBytes: 10, linkCount: 1, isNamed: true });
    // A rename and a removal show at once.
    await nodeFileSystem.rename(path, `${path}-2`);
    for (const maxAgeMs of [20, 20, 0]) {
      expect(file.statSync(maxAgeMs)).toEqual({ sizeBytes: 10, linkCount: 1, isNamed: false });
    }
    await nodeFileSystem.rename(`${path}-2`, path);
    expect(file.statSync(20)).toEqual({ sizeBytes: 10, linkCount: 1, isNamed: true });
    await nodeFileSystem.rename(path, `${path}-2`);
    clock.nowMs += 20;
    expect(file.statSync(20)).toEqual({ sizeBytes: 10, linkCount: 1, isNamed: false });
    await nodeFileSystem.unlink(`${path}-2`);
    expect(file.statSync(20)).toEqual({ sizeBytes: 10, linkCount: 0, isNamed: false });
    await file.close();
  },
);

test('a name that cannot be looked up may exist', async () => {
  const path = join(await temporaryDirectory(), 'file');
  const file = await nodeFileSystem.open(path, 'wx');
  await nodeFileSystem.rename(path, `${path}-2`);
  await symlink(path, path);
  expect(file.statSync()).toEqual({ sizeBytes: 0, linkCount: 1, isNamed: true });
  await file.close();
});
