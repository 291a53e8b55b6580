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
    expect(file.statSync(20)).toEqual({ sizeBytes: 0, linkCount: 1 });
    await file.write(new Uint8Array(5), 0);
    clock.nowMs += 19;
    expect(file.statSync(20)).toEqual({ sizeBytes: 0, linkCount: 1 });
    expect(file.statSync()).toEqual({ sizeBytes: 5, linkCount: 1 });
    await file.write(new Uint8Array(5), 5);
    clock.nowMs += 20;
    expect(file.statSync(20)).toEqual({ sizeBytes: 10, linkCount: 1 });
    // A renamed file has its link; one that was removed shows it at once.
    await nodeFileSystem.rename(path, `${path}-2`);
    expect(file.statSync(20)).toEqual({ sizeBytes: 10, linkCount: 1 });
    await nodeFileSystem.unlink(`${path}-2`);
    expect(file.statSync(20)).toEqual({ sizeBytes: 10, linkCount: 0 });
    await file.close();
  },
);
