import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CorruptionError, MetadataStore, restoreBackup } from '../../src/index.ts';
import { decodeManifest, encodeManifest } from '../../src/store/backup/backup-manifest.ts';
import { inodesIn, recordsIn, recordsOf } from '../support/backup.ts';
import { nth } from '../support/nth.ts';
import { flipByte, insertBatches, SMALL_LOGS } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** A backup of 100 batches in `backup`, of a store in `store`, in a new directory. */
async function madeBackup(): Promise<{ base: string; backup: string; target: string }> {
  const base = await temporaryDirectory();
  const store = await MetadataStore.open(join(base, 'store'), SMALL_LOGS);
  await insertBatches(store, 0, 20);
  await store.merge();
  await insertBatches(store, 20, 100);
  const backup = join(base, 'backup');
  await store.backup(backup);
  await store.close();
  return { base, backup, target: join(base, 'restored') };
}

function filesOf(backup: string): string[] {
  return readdirSync(backup).filter((name) => /^(log|snapshot)_/.test(name));
}

describe('a restored store', () => {
  test('is independent: it shares no file, accepts writes, merges, and can be backed up', async () => {
    const { base, backup, target } = await madeBackup();
    const before = await recordsIn(backup);
    const inodes = new Set(inodesIn(backup).values());
    const report = await restoreBackup(backup, target);
    expect(report).toMatchObject({ directory: target, lastSequence: 100n, records: 1000 });
    expect(report.files).toBe(filesOf(backup).length);
    for (const inode of inodesIn(target).values()) expect(inodes.has(inode)).toBe(false);
    expect(readdirSync(target).sort()).toEqual(
      ['DO_NOT_PUT_YOUR_FILES_HERE', 'lodestore.lock', ...filesOf(backup)].sort(),
    );
    const store = await MetadataStore.open(target, SMALL_LOGS);
    expect(store.recovery.foreignNames).toEqual([]);
    expect(recordsOf(store)).toEqual(before);
    await insertBatches(store, 100, 110);
    await store.merge();
    await store.backup(join(base, 'second'), { incremental: backup, verify: true });
    await store.close();
    expect((await recordsIn(target)).size).toBe(1100);
    expect(await recordsIn(backup)).toEqual(before);
    await restoreBackup(backup, join(base, 'again'));
  });

  test('has only the files that the backup lists', async () => {
    const { backup, target } = await madeBackup();
    const before = await recordsIn(backup);
    writeFileSync(join(backup, 'note.txt'), 'mine');
    // The backup was opened as a store and has logs of its own.
    const store = await MetadataStore.open(backup, SMALL_LOGS);
    await insertBatches(store, 200, 201);
    await store.close();
    await restoreBackup(backup, target);
    expect(readdirSync(target)).not.toContain('note.txt');
    expect(await recordsIn(target)).toEqual(before);
  });

  test('can be made from a copy of a backup', async () => {
    const { base, backup, target } = await madeBackup();
    cpSync(backup, join(base, 'moved'), { recursive: true });
    const before = await recordsIn(backup);
    rmSync(backup, { recursive: true });
    await restoreBackup(join(base, 'moved'), target);
    expect(await recordsIn(target)).toEqual(before);
  });
});

describe('restore refuses', () => {
  test('an existing target and leaves it', async () => {
    const { base, backup, target } = await madeBackup();
    const store = join(base, 'store');
    const before = await recordsIn(store);
    await expect(restoreBackup(backup, store)).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
    });
    await expect(restoreBackup(backup, backup)).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
    });
    writeFileSync(target, 'kept');
    await expect(restoreBackup(backup, target)).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
    });
    expect(readFileSync(target, 'utf8')).toBe('kept');
    expect(await recordsIn(store)).toEqual(before);
    mkdirSync(join(base, 'empty'));
    await restoreBackup(backup, join(base, 'empty'));
    expect(await recordsIn(join(base, 'empty'))).toEqual(before);
    expect(readdirSync(base).sort()).toEqual(['backup', 'empty', 'restored', 'store']);
  });

  test('a backup with any flipped bit, missing file or truncation, and leaves nothing', async () => {
    const { base, backup, target } = await madeBackup();
    const failure = async (path: string): Promise<void> => {
      const error = await restoreBackup(backup, target).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(CorruptionError);
      expect(error).toMatchObject({ path });
      expect(readdirSync(base).sort()).toEqual(['backup', 'store']);
    };
    for (const name of filesOf(backup)) {
      const path = join(backup, name);
      const bytes = readFileSync(path);
      for (const offset of [0, 300, 600]) {
        if (offset >= bytes.length) continue;
        await flipByte(backup, name, offset);
        await failure(path);
        writeFileSync(path, bytes);
      }
      truncateSync(path, 100);
      await failure(path);
      rmSync(path);
      await failure(path);
      writeFileSync(path, bytes);
    }
    const manifest = readFileSync(join(backup, 'BACKUP.json'));
    for (let offset = 0; offset < manifest.length; offset += 7) {
      const damaged = Uint8Array.from(manifest);
      damaged[offset] = damaged[offset]! ^ 1;
      writeFileSync(join(backup, 'BACKUP.json'), damaged);
      const error = await restoreBackup(backup, target).catch((reason: unknown) => reason);
      // A changed blank between two fields may have no effect.
      if (error instanceof CorruptionError) continue;
      expect(String.fromCodePoint(manifest[offset]!)).toMatch(/\s/);
      rmSync(target, { recursive: true });
    }
    writeFileSync(join(backup, 'BACKUP.json'), manifest);
    await restoreBackup(backup, target);
  });

  test.each(['', 'a\0b', undefined])('%j as a path', async (path) => {
    const { backup, target } = await madeBackup();
    await expect(restoreBackup(path as string, target)).rejects.toThrow(TypeError);
    await expect(restoreBackup(backup, path as string)).rejects.toThrow(TypeError);
  });
});

describe('a restore that was killed before the store had its name', () => {
  test('is finished by the next restore of the same backup', async () => {
    const { backup, target } = await madeBackup();
    await restoreBackup(backup, target);
    const inodes = inodesIn(target);
    renameSync(target, `${target}.partial`);
    const report = await restoreBackup(backup, target);
    expect(report).toMatchObject({ directory: target, lastSequence: 100n, records: 1000 });
    expect(inodesIn(target)).toEqual(inodes);
    expect(existsSync(`${target}.partial`)).toBe(false);
    expect(await recordsIn(target)).toEqual(await recordsIn(backup));
  });

  test.each([
    [
      'was written to since',
      async (path: string) => {
        const store = await MetadataStore.open(path);
        await insertBatches(store, 100, 101);
        await store.close();
      },
    ],
    ['lacks a file', (path: string) => rmSync(join(path, nth(filesOf(path), 1)))],
    ['has other bytes', (path: string) => flipByte(path, nth(filesOf(path), 0), 300)],
    ['is longer', (path: string) => truncateSync(join(path, nth(filesOf(path), 0)), 1_000_000)],
    ['holds something else too', (path: string) => writeFileSync(join(path, 'log'), '')],
  ] as const)('is not, and is told for what it is, when it %s', async (_what, change) => {
    const { base, backup, target } = await madeBackup();
    await restoreBackup(backup, target);
    const partial = `${target}.partial`;
    renameSync(target, partial);
    await change(partial);
    const before = readdirSync(partial);
    await expect(restoreBackup(backup, target)).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
      path: partial,
      message: expect.stringMatching(/contains a store, for example of a restore/) as string,
    });
    expect(readdirSync(partial)).toEqual(before);
    expect(existsSync(join(base, 'restored'))).toBe(false);
  });

  test('is not changed while it is open', async () => {
    const { backup, target } = await madeBackup();
    await restoreBackup(backup, target);
    renameSync(target, `${target}.partial`);
    const store = await MetadataStore.open(`${target}.partial`);
    await expect(restoreBackup(backup, target)).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
      path: `${target}.partial`,
    });
    await insertBatches(store, 100, 101);
    await store.close();
  });
});

test('a target inside the backup is refused, because the backup is only read', async () => {
  const { backup } = await madeBackup();
  const before = readdirSync(backup);
  for (const target of [join(backup, 'x'), join(backup, '..x', 'y')]) {
    await expect(restoreBackup(backup, target)).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
      message: expect.stringContaining('is inside the backup') as string,
    });
  }
  expect(readdirSync(backup)).toEqual(before);
});

test('an abort at any progress leaves nothing', async () => {
  const { base, backup, target } = await madeBackup();
  const steps: number[] = [];
  await restoreBackup(backup, join(base, 'whole'), {
    onProgress: ({ phase, doneBytes, totalBytes }) => {
      expect(phase).toBe('copy');
      expect(doneBytes).toBeLessThanOrEqual(totalBytes);
      steps.push(doneBytes);
    },
  });
  expect(steps.length).toBeGreaterThan(filesOf(backup).length);
  for (let at = 1; at <= steps.length; at++) {
    const abort = new AbortController();
    let seen = 0;
    const onProgress = (): void => {
      if (++seen === at) abort.abort();
    };
    const restoring = restoreBackup(backup, target, { signal: abort.signal, onProgress });
    await expect(restoring).rejects.toMatchObject({
      code: 'LODESTORE_ABORTED',
      name: 'AbortError',
    });
    expect(readdirSync(base).sort()).toEqual(['backup', 'store', 'whole']);
  }
});

describe('a manifest', () => {
  const manifest = {
    storeId: '5a'.repeat(16),
    lastSequence: 2n ** 60n + 1n,
    records: undefined,
    contentHash: 'f'.repeat(32),
    createdAt: '2026-03-02T10:35:32.196Z',
    previous: undefined,
    files: [
      { name: 'log_0000000000000001', lengthBytes: 5, sha256: 'aa', origin: 'copied' as const },
    ],
  };

  /** Forged with a valid checksum. */
  function forged(change: (body: Record<string, unknown>) => void): string {
    const { sha256: _, ...body } = JSON.parse(encodeManifest(manifest)) as Record<string, unknown>;
    change(body);
    const text = `${JSON.stringify(body, undefined, 2)}\n`;
    const sha256 = createHash('sha256').update(text).digest('hex');
    return JSON.stringify({ ...body, sha256 });
  }

  test('is read as it was written', () => {
    expect(decodeManifest(encodeManifest(manifest), 'p')).toEqual(manifest);
    const counted = { ...manifest, records: 7, contentHash: undefined, previous: '/b' };
    expect(decodeManifest(encodeManifest(counted), 'p')).toEqual(counted);
  });

  test.each(['../../etc/passwd', '/etc/passwd', 'log_1', 'lodestore.lock', 'BACKUP.json', ''])(
    'never refers to a file named %j',
    (name) => {
      const text = forged((body) => {
        body['files'] = [{ ...nth(manifest.files, 0), name }];
      });
      expect(() => decodeManifest(text, 'p')).toThrow(CorruptionError);
    },
  );

  test('is refused in a later version or when missing', () => {
    const later = forged((body) => (body['version'] = 2));
    expect(() => decodeManifest(later, 'p')).toThrow(/version 2, which this version/);
    for (const text of ['', '{', 'null', '[]', '7', '{"format":"other"}']) {
      expect(() => decodeManifest(text, 'p')).toThrow(/not the manifest of a backup/);
    }
  });
});
