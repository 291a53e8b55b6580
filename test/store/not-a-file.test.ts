import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MetadataStore, type StoreError } from '../../src/index.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { runCli } from '../support/cli.ts';
import { closedStore } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

async function socketAt(path: string): Promise<void> {
  const server = createServer().listen(path);
  onTestFinished(() => void server.close());
  await once(server, 'listening');
}

/** Objects that are no files, whose plain open or read could wait or never end. */
const MADE: Record<string, (path: string) => unknown> = {
  pipe: (path) => execFileSync('mkfifo', [path]),
  socket: socketAt,
  device: (path) => symlinkSync('/dev/zero', path),
};

const NAMES = ['lodestore.lock', 'snapshot_0000000000000009', 'log_00000000000000ff'];

async function refusal(promise: Promise<MetadataStore>): Promise<StoreError> {
  return promise.then(
    () => {
      throw new Error('the open was expected to be refused');
    },
    (error: unknown) => error as StoreError,
  );
}

describe.runIf(process.platform === 'linux').each(Object.keys(MADE))('a %s', (kind) => {
  test.each(NAMES)('named %s is refused by name, and nothing waits for it', async (name) => {
    const directory = await closedStore();
    const path = join(directory, name);
    await rm(path, { force: true });
    await MADE[kind]!(path);
    const error = await refusal(MetadataStore.open(directory));
    expect(error).toMatchObject({ code: 'LODESTORE_IO', path, cause: { code: 'ESPIPE' } });
    expect(error.message).toContain('a pipe, a socket or a device, not a file: move it elsewhere');
    const isLock = name === 'lodestore.lock';
    const explained = await runCli(['explain', '--json', directory]);
    const { state, next } = JSON.parse(explained.out) as { state: string; next: { why: string } };
    expect([state, explained.code]).toEqual([isLock ? 'blocked' : 'unreadable', 4]);
    expect(next.why).toContain('move it elsewhere');
    // Reading needs no lock file.
    expect((await runCli(['verify', directory])).code).toBe(isLock ? 0 : 4);
    expect((await runCli(['inspect', directory])).out).toContain(name);
    const target = join(await temporaryDirectory(), 'salvaged');
    const salvaged = await runCli(['salvage', directory, target]);
    expect(salvaged.code).not.toBe(0);
    expect(salvaged.err).toContain(path);
  });

  test('is not opened as a file', async () => {
    const path = join(await temporaryDirectory(), 'it');
    await MADE[kind]!(path);
    for (const mode of ['r', 'r+', 'rs+'] as const) {
      await expect(nodeFileSystem.open(path, mode)).rejects.toMatchObject({ code: 'ESPIPE', path });
    }
    await expect(nodeFileSystem.tryLock(path)).rejects.toMatchObject({ code: 'ESPIPE', path });
  });
});
