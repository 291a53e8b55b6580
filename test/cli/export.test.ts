import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportRecords } from '../../src/cli/export.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { systemFailure } from '../support/backup.ts';
import { fingerprint, runCli, runOn } from '../support/cli.ts';
import { subject } from '../support/damage-table.ts';
import { dumpOf, dumpOfStore, type DumpRecord } from '../support/dump.ts';
import { ANCESTOR, copyOf, goldenNames } from '../support/golden.ts';
import { ancestorFrame } from '../support/independent-ancestor.ts';
import { machineWith } from '../support/machine.ts';
import { closedStore, flipByte, insertBatches, namesIn } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { nth } from '../support/nth.ts';

const MAX = 2n ** 64n - 1n;

async function smallStore(): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  await store.insertBatch([
    { type: 'put', key: 0, value: 7 },
    { type: 'put', key: 2n ** 53n + 1n, value: 5, data: Uint8Array.of(0xca, 0xfe, 0xff) },
    { type: 'put', key: MAX, value: MAX, data: Uint8Array.of(1) },
  ]);
  await store.close();
  return directory;
}

test('JSON lines and CSV have every digit of a u64, and data in base64 or hexadecimal', async () => {
  const directory = await smallStore();
  const before = await fingerprint(directory);
  expect(await runCli(['export', directory])).toEqual({
    code: 0,
    err: '',
    out:
      '{"key":"0","value":"7","data":""}\n' +
      '{"key":"9007199254740993","value":"5","data":"yv7/"}\n' +
      `{"key":"${MAX}","value":"${MAX}","data":"AQ=="}\n`,
  });
  const hex = await runCli(['export', '--hex', '--format', 'csv', directory]);
  expect(hex.out).toBe(`key,value,dataHex\n0,7,\n9007199254740993,5,cafeff\n${MAX},${MAX},01\n`);
  expect(await fingerprint(directory)).toEqual(before);
});

test('export to a file prints a summary and never overwrites a file', async () => {
  const directory = await smallStore();
  const home = await temporaryDirectory();
  const out = join(home, 'meta.csv');
  const first = await runCli(['export', '--json', '--format', 'csv', '--out', out, directory]);
  expect(JSON.parse(first.out)).toEqual({
    directory,
    format: 'csv',
    out,
    records: 3,
    bytes: (await readFile(out)).length,
  });
  const second = await runCli(['export', '--out', out, directory]);
  expect([second.code, second.out]).toEqual([2, '']);
  expect(await readFile(out, 'utf8')).toMatch(/^key,value,data\n0,7,\n/);
  await writeFile(join(home, 'other.partial'), '');
  const third = await runCli(['export', '--out', join(home, 'other'), directory]);
  expect([third.code, third.err]).toEqual([2, expect.stringContaining('was killed')]);
  expect(await readdir(home)).toEqual(['meta.csv', 'other.partial']);
});

test.each([
  [['--json'], 'needs --out'],
  [['--format', 'ancestor'], 'needs --out'],
  [['--format', 'ancestor', '--hex', '--out', 'x'], 'has no --hex'],
  [['--format', 'xml'], 'Allowed choices'],
])('wrong usage: %j', async (options, reason) => {
  const { code, out, err } = await runCli(['export', ...options, await smallStore()]);
  expect([code, out]).toEqual([2, '']);
  expect(err).toContain(reason);
});

/**
 * Reads a directory as the ancestor does: the newest snapshot, which is one frame, and empty logs
 * after it.
 */
async function readAsAncestor(directory: string): Promise<string> {
  const names = (await readdir(directory)).sort();
  expect(names).toEqual([
    'DO_NOT_PUT_YOUR_FILES_HERE',
    'log_0000000000000001',
    'snapshot_0000000000000000',
  ]);
  expect(await readFile(join(directory, 'log_0000000000000001'))).toHaveLength(0);
  const bytes = Buffer.from(
    ancestorFrame(new Uint8Array(await readFile(join(directory, 'snapshot_0000000000000000')))),
  );
  const records: DumpRecord[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const key = bytes.readBigUInt64LE(offset);
    const value = bytes.readBigUInt64LE(offset + 8);
    const length = Number(bytes.readBigUInt64LE(offset + 16));
    offset += 24 + length;
    expect(offset).toBeLessThanOrEqual(bytes.length);
    records.push({ key, value, data: bytes.subarray(offset - length, offset) });
  }
  return dumpOf(records);
}

async function dumpOfDirectory(directory: string): Promise<string> {
  const store = await MetadataStore.open(directory, { readOnly: true });
  const dump = dumpOfStore(store);
  await store.close();
  return dump;
}

test("an export in the ancestor's format is read by the ancestor and by lodestore", async () => {
  for (const directory of [await closedStore(), await smallStore(), await largeRecords()]) {
    const target = join(await temporaryDirectory(), 'ancestor');
    const { code, out } = await runCli([
      'export',
      '--format',
      'ancestor',
      '--out',
      target,
      directory,
    ]);
    expect([code, out]).toEqual([0, expect.stringMatching(/^Exported [\d,]+ records to /)]);
    const dump = await dumpOfDirectory(directory);
    expect(await readAsAncestor(target)).toBe(dump);
    expect(await dumpOfDirectory(target)).toBe(dump);
    // A write makes it a normal store.
    const store = await MetadataStore.open(target);
    await store.insertBatch([{ type: 'put', key: 4, value: 4 }]);
    await store.merge();
    await store.close();
    expect(await dumpOfDirectory(target)).toContain('4 4 \n');
  }
});

/** Records longer than any row buffer, and an empty store. */
async function largeRecords(): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  const data = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 2_654_435_761) >>> 24);
  for (const key of [1, 2, 3]) await store.insertBatch([{ type: 'put', key, value: 1, data }]);
  await store.close();
  return directory;
}

test('an empty store is exported as a frame without rows', async () => {
  const directory = await temporaryDirectory();
  await (await MetadataStore.open(directory)).close();
  const target = join(await temporaryDirectory(), 'ancestor');
  await runCli(['export', '--format', 'ancestor', '--out', target, directory]);
  expect(await readAsAncestor(target)).toBe('');
  expect(await dumpOfDirectory(target)).toBe('');
  expect((await runCli(['export', directory])).out).toBe('');
});

test.each(goldenNames(ANCESTOR))(
  'a directory of the ancestor survives export and import: %s',
  async (name) => {
    const directory = await copyOf(ANCESTOR, name);
    const target = join(await temporaryDirectory(), 'ancestor');
    const { code } = await runCli(['export', '--format', 'ancestor', '--out', target, directory]);
    expect(code).toBe(0);
    expect(await readAsAncestor(target)).toBe(await dumpOfDirectory(directory));
  },
);

test('an export beside a busy store has whole batches and finishes a removed snapshot', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, { rotateBytes: 64 * 1024 });
  await insertBatches(store, 0, 100);
  await store.merge();
  await insertBatches(store, 100, 200);
  const fs = Object.create(nodeFileSystem) as FileSystem & { open: FileSystem['open'] };
  let opened = 0;
  fs.open = async (path, mode) => {
    const file = await nodeFileSystem.open(path, mode);
    // The chunks are read through the second open of the snapshot.
    if (path.includes('snapshot_') && ++opened === 2) await store.merge();
    return file;
  };
  const { code, out } = await runOn(fs, (context) =>
    exportRecords(context, directory, { format: 'jsonl' }),
  );
  expect(code).toBe(0);
  expect(out.trimEnd().split('\n')).toHaveLength(2000);
  expect(opened).toBe(2);
  await store.close();
});

test('damage gives exit code 1 and no file', async () => {
  const directory = await closedStore();
  await flipByte(directory, nth(await namesIn(directory, 'snapshot_'), 0), 300);
  const home = await temporaryDirectory();
  for (const format of ['jsonl', 'ancestor']) {
    const out = join(home, format);
    const { code, err } = await runCli(['export', '--format', format, '--out', out, directory]);
    expect([code, err]).toEqual([1, expect.stringContaining('is damaged at offset 128')]);
  }
  expect(await readdir(home)).toEqual([]);
});

test('an interrupted export removes its output', async () => {
  const directory = await closedStore();
  const home = await temporaryDirectory();
  await mkdir(join(home, 'empty'));
  for (const [format, name] of [
    ['csv', 'file'],
    ['ancestor', 'new'],
    ['ancestor', 'empty'],
  ] as const) {
    const controller = new AbortController();
    const fs = Object.create(nodeFileSystem) as FileSystem & { open: FileSystem['open'] };
    fs.open = async (path, mode) => {
      if (mode === 'wx') controller.abort();
      return nodeFileSystem.open(path, mode);
    };
    const out = join(home, name);
    await expect(
      runOn(fs, (context) =>
        exportRecords({ ...context, signal: controller.signal }, directory, { format, out }),
      ),
    ).rejects.toMatchObject({ name: 'InterruptedError' });
  }
  expect(await readdir(home)).toEqual(['empty']);
  expect(await readdir(join(home, 'empty'))).toEqual([]);
});

test.each(['linked', 'renamed'] as const)(
  'a file that appears during an export is never replaced (%s)',
  async (how) => {
    const directory = await smallStore();
    const home = await temporaryDirectory();
    const out = join(home, 'out');
    const fs = Object.create(nodeFileSystem) as {
      -readonly [Name in keyof FileSystem]: FileSystem[Name];
    };
    fs.open = async (path, mode) => {
      if (mode === 'wx') await writeFile(out, 'theirs');
      return nodeFileSystem.open(path, mode);
    };
    if (how === 'renamed') {
      fs.link = (existing) => Promise.reject(systemFailure('EPERM', existing));
    }
    await expect(
      runOn(fs, (context) => exportRecords(context, directory, { format: 'jsonl', out })),
    ).rejects.toMatchObject({ name: 'UsageError' });
    expect(await readFile(out, 'utf8')).toBe('theirs');
    expect(await readdir(home)).toEqual(['out']);
  },
);

test('an export onto a disk without hard links has its name', async () => {
  const directory = await smallStore();
  const home = await temporaryDirectory();
  const fs = Object.create(nodeFileSystem) as FileSystem & { link: FileSystem['link'] };
  fs.link = (existing) => Promise.reject(systemFailure('EPERM', existing));
  const out = join(home, 'out');
  await runOn(fs, (context) => exportRecords(context, directory, { format: 'jsonl', out }));
  expect(await readdir(home)).toEqual(['out']);
  expect(await readFile(out, 'utf8')).toMatch(/^{"key":"0"/);
});

test('an export is durable with the names of the directories above it', async () => {
  const fs = machineWith(subject.files);
  for (const path of ['/new', '/new/o']) await fs.makeDirectory(path);
  const out = '/new/o/out';
  await runOn(fs, (context) => exportRecords(context, '/s', { format: 'jsonl', out }));
  const files = fs.files();
  expect([...files.keys()].filter((path) => path.startsWith('/new/'))).toEqual([out]);
  expect(fs.minimalCrash().files().get(out)).toEqual(files.get(out));
});

test('an export whose name is not durable is removed, and the first error is told', async () => {
  const fs = machineWith(subject.files);
  await fs.makeDirectory('/o');
  fs.faults.add({ call: 'syncDirectory', error: 'EIO', mode: 'sticky' });
  fs.faults.add({ call: 'unlink', error: 'EPERM', path: '/o/out.partial' });
  await expect(
    runOn(fs, (context) => exportRecords(context, '/s', { format: 'jsonl', out: '/o/out' })),
  ).rejects.toMatchObject({ code: 'EIO' });
  expect([...fs.files().keys()].filter((path) => path.startsWith('/o/'))).toEqual([
    '/o/out.partial',
  ]);
  expect(fs.heldDirectoryCount).toBe(0);
});

test("a target in the ancestor's format must be empty and outside the store", async () => {
  const directory = await closedStore();
  for (const out of [directory, join(directory, 'sub')]) {
    const { code } = await runCli(['export', '--format', 'ancestor', '--out', out, directory]);
    expect(code).toBe(2);
  }
});

test('updates and deletes in logs are folded in chunk by chunk', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, { mergeBytes: 1 << 30 });
  const records = new Map<number, number>();
  const batch = new WriteBatch();
  for (let key = 10; key < 30_000; key++) {
    batch.put(key, 1);
    records.set(key, 1);
  }
  await store.insertBatch(batch);
  await store.merge();
  batch.clear();
  for (const key of [1, 9, 15_000, 29_999, 40_000]) {
    batch.put(key, 2);
    records.set(key, 2);
  }
  for (const key of [10, 8_192, 20_000, 29_998, 50_000]) {
    batch.delete(key);
    records.delete(key);
  }
  await store.insertBatch(batch);
  await store.close();
  const { out } = await runCli(['export', '--format', 'csv', directory]);
  const expected = [...records].sort(([a], [b]) => a - b).map(([key, value]) => `${key},${value},`);
  expect(out).toBe(`${['key,value,data', ...expected].join('\n')}\n`);
  const stats = await runCli(['stats', '--json', directory]);
  expect(JSON.parse(stats.out)).toMatchObject({ records: records.size, dataBytes: 0 });
});

test('no file is written into the directory that is read', async () => {
  const directory = await temporaryDirectory();
  await (await MetadataStore.open(directory)).close();
  const names = await readdir(directory);
  const link = join(await temporaryDirectory(), 'link');
  await symlink(directory, link);
  for (const parent of [directory, link]) {
    const out = join(parent, 'log_0000000000000009');
    const { code, err } = await runCli(['export', '--out', out, directory]);
    expect([code, err]).toEqual([2, `lodestore: ${out} must not be inside ${directory}\n`]);
  }
  expect(await readdir(directory)).toEqual(names);
});
