import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeOwnerRecord, encodeOwnerRecord } from '../../src/directory/owner-record.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore, type StoreError } from '../../src/index.ts';
import { fingerprint, runCli } from '../support/cli.ts';
import { closedStore } from '../support/store-directory.ts';

interface Told {
  readonly state: string;
  readonly because: readonly string[];
  readonly next: { readonly command: string; readonly why: string };
}

async function told(directory: string): Promise<Told> {
  const { out, err } = await runCli(['explain', '--json', directory]);
  expect(err).toBe('');
  return JSON.parse(out) as Told;
}

/** As a close leaves it if the lease cannot be removed. */
function leaveLease(directory: string): string {
  const lease = join(directory, 'lodestore.lease');
  mkdirSync(lease);
  return lease;
}

describe('something in the lease', () => {
  test('is named by explain and by the error of open, until it is moved', async () => {
    const directory = await closedStore();
    const file = join(leaveLease(directory), '.DS_Store');
    writeFileSync(file, 'x');
    const before = await fingerprint(directory);
    const found = await told(directory);
    expect(found.state).toBe('blocked');
    expect(found.because[0]).toBe(`${file}: it is in the lease, which must be an empty directory.`);
    expect(found.next.command).toContain(file);
    expect(found.next.why).toContain('move it elsewhere');
    expect(await fingerprint(directory)).toEqual(before);
    const error = await MetadataStore.open(directory).then(
      () => undefined,
      (reason: unknown) => reason as StoreError,
    );
    expect(error).toMatchObject({
      code: 'LODESTORE_IO',
      path: file,
      cause: { code: 'ENOTEMPTY' },
      message: expect.stringMatching(/must be an empty directory, but holds "\.DS_Store"; move it/),
    });
    rmSync(file);
    expect((await told(directory)).state).toBe('opens');
    await (await MetadataStore.open(directory)).close();
  });
});

describe('the owner of a lease', () => {
  test('that has closed the store does not keep it from opening, although it runs', async () => {
    const directory = await closedStore();
    // Of this process, which runs, but does not have the store open.
    const store = await MetadataStore.open(directory);
    await store.close();
    const lease = leaveLease(directory);
    const before = await fingerprint(directory);
    expect((await told(directory)).state).toBe('opens');
    expect(await fingerprint(directory)).toEqual(before);
    expect(existsSync(lease)).toBe(true);
    await (await MetadataStore.open(directory)).close();
  });

  test('that has it open is found by the file that it holds, even if the lock file was replaced', async () => {
    const directory = await closedStore();
    const store = await MetadataStore.open(directory);
    expect((await told(directory)).state).toBe('locked');
    const lock = join(directory, 'lodestore.lock');
    const bytes = readFileSync(lock);
    rmSync(lock);
    writeFileSync(lock, bytes);
    expect((await told(directory)).state).toBe('locked');
    await store.close();
    expect((await told(directory)).state).toBe('opens');
  });

  test('that is in another container is found by the kernel lock', async () => {
    const directory = await closedStore();
    const path = join(directory, 'lodestore.lock');
    const record = decodeOwnerRecord(readFileSync(path))!;
    leaveLease(directory);
    // No process here has this pid.
    writeFileSync(path, encodeOwnerRecord({ ...record, pid: 4_000_000 }), { flag: 'r+' });
    const lock = await nodeFileSystem.tryLock(path);
    expect((await told(directory)).state).toBe('locked');
    await lock!.release();
    expect((await told(directory)).state).toBe('opens');
  });
});
