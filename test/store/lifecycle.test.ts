import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import {
  CorruptionError,
  MetadataStore,
  StoreClosedError,
  StoreError,
  StoreLockedError,
} from '../../src/index.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

async function rejection(promise: Promise<unknown>): Promise<StoreError> {
  return promise.then(
    () => {
      throw new Error('the promise was expected to reject');
    },
    (error: unknown) => error as StoreError,
  );
}

const ONE = [{ type: 'put' as const, key: 1, value: 7, data: Uint8Array.of(1, 2) }];

test('open, write, close and open find everything, quickly and without threads', async () => {
  const directory = join(await temporaryDirectory(), 'new', 'deep', 'store');
  const store = await MetadataStore.open(directory);
  expect(store.recovery).toMatchObject({ records: 0, logs: 0, losses: [], foreignNames: [] });
  await store.insertBatch(ONE);
  await store.close();
  expect(readdirSync(directory).toSorted()).toEqual([
    'DO_NOT_PUT_YOUR_FILES_HERE',
    'lodestore.lock',
    'log_0000000000000001',
    'snapshot_0000000000000000',
  ]);
  const again = await MetadataStore.open(directory);
  expect(again.get(1)).toEqual({ value: 7n, data: Uint8Array.of(1, 2) });
  expect(again.recovery).toMatchObject({ records: 1, logs: 1, batches: 1, updates: 1, threads: 1 });
  expect(again.recovery.lastSequence).toBe(1n);
  await again.close();
});

test('close settles pending batches, is idempotent, and lets the next open in at once', async () => {
  const directory = await temporaryDirectory();
  for (let round = 0; round < 10; round++) {
    const store = await MetadataStore.open(directory);
    const writes = [1, 2, 3].map((key) =>
      store.insertBatch([{ type: 'put', key, value: round + 1 }]),
    );
    const closed = [store.close(), store.close()];
    const late = await rejection(store.insertBatch(ONE));
    expect(late).toBeInstanceOf(StoreClosedError);
    expect(late.outcome).toBe('not-applied');
    await Promise.all([...writes, ...closed]);
    expect(() => store.get(1)).toThrow(StoreClosedError);
    expect(() => store.entries()).toThrow(StoreClosedError);
  }
  const store = await MetadataStore.open(directory);
  expect(store.get(2)?.value).toBe(10n);
  await store.close();
});

test('await using closes the store', async () => {
  const directory = await temporaryDirectory();
  {
    await using store = await MetadataStore.open(directory);
    await store.insertBatch(ONE);
  }
  const store = await MetadataStore.open(directory);
  expect(store.size).toBe(1);
  await store.close();
});

async function runChild(
  program: string,
  directory: string,
): Promise<{ code: number; text: string }> {
  const index = programPath('lodestore');
  const source = `const { MetadataStore } = await import(${JSON.stringify(index)});\n${program}`;
  const file = join(await temporaryDirectory(), 'child.mjs');
  writeFileSync(file, source);
  const child = spawn(process.execPath, [file, directory], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => (text += String(chunk)));
  child.stderr.on('data', (chunk) => (text += String(chunk)));
  const [code] = (await once(child, 'close')) as [number];
  return { code, text };
}

test('close leaves nothing that keeps the process alive; without a close nothing acknowledged is lost', async () => {
  const directory = await temporaryDirectory();
  const closed = await runChild(
    `const store = await MetadataStore.open(process.argv[2]);
     await store.insertBatch([{ type: 'put', key: 1, value: 1 }]);
     await store.close();
     // The request whose callback resolved the close counts until that callback returns.
     await new Promise((resolve) => setImmediate(resolve));
     const left = process.getActiveResourcesInfo().filter((name) => !/Pipe|TTY/.test(name));
     console.log(JSON.stringify(left));`,
    directory,
  );
  expect(closed).toEqual({ code: 0, text: '[]\n' });
  const left = await runChild(
    `const store = await MetadataStore.open(process.argv[2]);
     await store.insertBatch([{ type: 'put', key: 2, value: 2 }]);
     console.log('acknowledged');`,
    directory,
  );
  expect(left).toEqual({ code: 0, text: 'acknowledged\n' });
  const store = await MetadataStore.open(directory);
  expect([...store.keys()]).toEqual([1n, 2n]);
  await store.close();
});

test('a second opener is refused with the owner named, also through a symbolic link', async () => {
  const parent = await temporaryDirectory();
  const directory = join(parent, 'store');
  const store = await MetadataStore.open(directory);
  symlinkSync(directory, join(parent, 'link'));
  for (const path of [directory, join(parent, 'link'), `${directory}/../store`]) {
    const error = await rejection(MetadataStore.open(path));
    expect(error).toBeInstanceOf(StoreLockedError);
    expect((error as StoreLockedError).owner.pid).toBe(process.pid);
    expect(error.message).toContain(String(process.pid));
  }
  await store.insertBatch(ONE);
  await store.close();
  const through = await MetadataStore.open(join(parent, 'link'));
  expect(through.size).toBe(1);
  await through.close();
});

test('a read-only open works beside a writer, without a lock, and changes nothing', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  await store.insertBatch(ONE);
  const before = contentsOf(directory);
  const reader = await MetadataStore.open(directory, { readOnly: true });
  expect(reader.get(1)?.value).toBe(7n);
  const error = await rejection(reader.insertBatch(ONE));
  expect([error.code, error.outcome]).toEqual(['LODESTORE_READ_ONLY', 'not-applied']);
  expect((await rejection(reader.merge())).code).toBe('LODESTORE_READ_ONLY');
  await reader.close();
  expect(contentsOf(directory)).toEqual(before);
  await store.close();
});

/**
 * Hashes of the non-empty files. Excludes the log that the writer prepares and the notes in its
 * lock file.
 */
function contentsOf(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => !/(\.lease|\.lock|2)$/.test(name))
    .map((name) => {
      const bytes = readFileSync(join(directory, name));
      return `${name} ${createHash('sha256').update(bytes).digest('hex')}`;
    });
}

test('a directory that is no store is refused, and nothing is created or changed', async () => {
  const parent = await temporaryDirectory();
  const file = join(parent, 'file');
  writeFileSync(file, 'mine');
  expect((await rejection(MetadataStore.open(file))).code).toBe('LODESTORE_NOT_A_DIRECTORY');
  expect((await rejection(MetadataStore.open(join(file, 'below')))).code).toBe(
    'LODESTORE_NOT_A_DIRECTORY',
  );
  const missing = join(parent, 'missing');
  for (const options of [{ readOnly: true }, { createIfMissing: false }]) {
    expect((await rejection(MetadataStore.open(missing, options))).code).toBe(
      'LODESTORE_NOT_FOUND',
    );
    expect(existsSync(missing)).toBe(false);
  }
  const empty = join(parent, 'empty');
  mkdirSync(empty);
  expect((await rejection(MetadataStore.open(empty, { readOnly: true }))).code).toBe(
    'LODESTORE_NOT_FOUND',
  );
  expect(readdirSync(empty)).toEqual([]);
  expect(readFileSync(file, 'utf8')).toBe('mine');
  for (const path of ['', 'a\0b', 7 as unknown as string]) {
    await expect(MetadataStore.open(path)).rejects.toThrow(TypeError);
  }
});

test('options out of bounds are named', async () => {
  const bad: [object, ErrorConstructor, RegExp][] = [
    [{ rotateBytes: 5 }, RangeError, /options\.rotateBytes/],
    [{ queueBatches: 0 }, RangeError, /options\.queueBatches/],
    [{ queueBytes: '1' }, TypeError, /options\.queueBytes/],
    [{ recovery: 'lenient' }, RangeError, /options\.recovery/],
    [{ recovery: 'salvage', readOnly: true }, RangeError, /readOnly/],
    [{ leaseStaleMs: 10 }, RangeError, /options\.leaseStaleMs/],
    [{ compressionLevel: 99 }, RangeError, /options\.compressionLevel/],
  ];
  for (const [options, kind, message] of bad) {
    const error = await rejection(MetadataStore.open(await temporaryDirectory(), options));
    expect(error).toBeInstanceOf(kind);
    expect(error.message).toMatch(message);
  }
});

test.skipIf(process.getuid?.() !== 0)(
  'a lack of permission is an I/O error that names the path',
  async () => {
    const directory = await temporaryDirectory();
    const store = await MetadataStore.open(directory);
    await store.insertBatch(ONE);
    await store.close();
    chmodSync(directory, 0o755);
    chmodSync(join(directory, 'log_0000000000000001'), 0);
    const result = await runChild(
      `process.setuid(65534);
     await MetadataStore.open(process.argv[2], { readOnly: true }).catch((error) =>
       console.log(error.code, error.cause.code, error.path));`,
      directory,
    );
    expect(result.text).toMatch(/^LODESTORE_IO EACCES .*log_0000000000000001\n$/);
  },
);

test('strange file names are left alone and reported', async () => {
  const directory = await temporaryDirectory();
  let store = await MetadataStore.open(directory);
  await store.insertBatch(ONE);
  await store.close();
  const strange = [
    'README',
    'log_1',
    'log_00000000000000FF',
    'log_0000000000000009.old',
    'snapshot_0000000000000009.old',
    'snapshot_0000000000000009.tmp.tmp',
    'log_0000000000000009.tmp',
    'logs',
    'ünïcode \n name',
  ];
  for (const name of strange) writeFileSync(join(directory, name), 'not yours');
  mkdirSync(join(directory, 'log_0000000000000077'));
  store = await MetadataStore.open(directory);
  expect(store.recovery.foreignNames).toEqual([...strange, 'log_0000000000000077'].toSorted());
  expect(store.get(1)?.value).toBe(7n);
  await store.merge();
  await store.close();
  for (const name of strange) expect(readFileSync(join(directory, name), 'utf8')).toBe('not yours');
});

test('a file of a newer format version is refused and kept', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  await store.insertBatch(ONE);
  await store.close();
  const path = join(directory, 'log_0000000000000001');
  const bytes = readFileSync(path);
  bytes.writeUInt32LE(4, 8);
  const seed = new ChecksumSeed(bytes.subarray(16, 32), 'log', 1);
  bytes.writeUInt32LE(seed.checksum(bytes.subarray(0, 124), 0), 124);
  writeFileSync(path, bytes);
  for (const options of [{}, { recovery: 'salvage' as const }, { readOnly: true }]) {
    const error = await rejection(MetadataStore.open(directory, options));
    expect(error.code).toBe('LODESTORE_UNSUPPORTED_FORMAT');
    expect(error.message).toContain('version 4');
  }
  expect(readFileSync(path)).toEqual(bytes);
});

test('a foreign file with one of our names is damage, not an empty log', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  await store.insertBatch(ONE);
  await store.close();
  writeFileSync(join(directory, 'snapshot_0000000000000000'), 'a text that somebody put here');
  const error = await rejection(MetadataStore.open(directory));
  expect(error).toBeInstanceOf(CorruptionError);
  expect(error.path).toContain('snapshot_0000000000000000');
});

test('an open can be aborted and reports its progress', async () => {
  const directory = await temporaryDirectory();
  let store = await MetadataStore.open(directory);
  await store.insertBatch(ONE);
  await store.close();
  const aborted = await rejection(
    MetadataStore.open(directory, { signal: AbortSignal.abort(new Error('no')) }),
  );
  expect(aborted.code).toBe('LODESTORE_ABORTED');
  const controller = new AbortController();
  const midway = await rejection(
    MetadataStore.open(directory, {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    }),
  );
  expect(midway.code).toBe('LODESTORE_ABORTED');
  const phases: string[] = [];
  store = await MetadataStore.open(directory, { onProgress: ({ phase }) => phases.push(phase) });
  expect(new Set(phases)).toEqual(new Set(['logs', 'snapshot']));
  await store.close();
});

for (const code of ['EIO', 'EMFILE', 'ENOMEM', 'EACCES'] as const) {
  test(`${code} during a read is not damage: open fails and changes nothing`, async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s');
    await store.insertBatch(ONE);
    await store.close();
    const before = new Map(fs.files());
    for (const call of ['open', 'read'] as const) {
      for (const file of ['log_0000000000000001', 'snapshot_0000000000000000']) {
        fs.faults.add({ call, error: code, path: `/s/${file}` });
        for (const recovery of ['strict', 'salvage'] as const) {
          const error = await rejection(openOn(fs, '/s', { recovery }));
          expect(error.code).toBe('LODESTORE_IO');
          expect((error.cause as { code: string }).code).toBe(code);
          fs.faults.clear();
          fs.faults.add({ call, error: code, path: `/s/${file}` });
        }
        fs.faults.clear();
      }
    }
    const names = [...before.keys()].filter((name) => !name.endsWith('lock'));
    for (const name of names) expect(fs.files().get(name)).toEqual(before.get(name));
    const again = await openOn(fs, '/s');
    expect(again.size).toBe(1);
    await again.close();
  });
}

test('reads work on a full disk', async () => {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s');
  await store.insertBatch(ONE);
  await store.close();
  fs.faults.add({
    call: 'write',
    error: 'ENOSPC',
    mode: 'sticky',
    path: '/s/log_0000000000000002',
  });
  const again = await openOn(fs, '/s');
  expect(again.get(1)?.value).toBe(7n);
  const error = await rejection(again.insertBatch(ONE));
  expect([error.code, error.outcome]).toEqual(['LODESTORE_FULL', 'not-applied']);
  fs.faults.clear();
  await again.insertBatch([{ type: 'put', key: 2, value: 2 }]);
  expect(again.size).toBe(2);
  await again.close();
});

test('the public entry exports what the documents name', async () => {
  const door = await import('../../src/index.ts');
  expect(Object.keys(door).toSorted()).toEqual([
    'AbortedError',
    'BatchTooLargeError',
    'ConditionFailedError',
    'CorruptionError',
    'DirectoryLostError',
    'FencedError',
    'FilesLostError',
    'MetadataStore',
    'NativePackageError',
    'PositionExpiredError',
    'SnapshotReleasedError',
    'StoreBusyError',
    'StoreClosedError',
    'StoreError',
    'StoreFullError',
    'StoreLockedError',
    'StorePoisonedError',
    'WriteBatch',
    'jsonForm',
    'quantileOf',
    'restoreBackup',
  ]);
  expect(fileURLToPath(import.meta.url)).toContain('lifecycle');
});

test('a first group that was torn whole is reported, and its log is removed', async () => {
  const directory = await temporaryDirectory();
  const path = join(directory, 'log_0000000000000001');
  const store = await MetadataStore.open(directory);
  await store.close();
  writeFileSync(path, Buffer.concat([Buffer.alloc(512), Buffer.from('the end of a torn write')]));
  const again = await MetadataStore.open(directory);
  expect(again.recovery.tornTail).toMatchObject({ path, offset: 0, droppedBytes: 535 });
  expect(again.recovery.removed).toEqual([path]);
  await again.close();
});
