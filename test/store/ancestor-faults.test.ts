import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CHUNK_TARGET_BYTES } from '../../src/base/limits.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import { CorruptionError, MetadataStore, StoreError, WriteBatch } from '../../src/index.ts';
import { readSnapshot } from '../../src/snapshot/snapshot-reader.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { dumpOfStore, readDump } from '../support/dump.ts';
import { ANCESTOR, copyOf, sumsOf } from '../support/golden.ts';
import { filesIn, hashesOf, machineWith, storeFiles, withChange } from '../support/machine.ts';
import { openedFile } from '../support/read-only-files.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** Faults of the store that this one descends from. Each is named here and must not recur. */

const NO_MERGES = { mergeBytes: 2 ** 40 };

async function rejection(promise: Promise<unknown>): Promise<StoreError> {
  return promise.then(
    () => {
      throw new Error('the promise was expected to reject');
    },
    (error: unknown) => error as StoreError,
  );
}

function put(key: number): { type: 'put'; key: number; value: number } {
  return { type: 'put', key, value: key + 1 };
}

/** A machine with a snapshot and one log per key. */
async function machineWithLogs(...keys: number[]): Promise<CrashFs> {
  const fs = new CrashFs();
  let store = await openOn(fs, '/s', NO_MERGES);
  await store.insertBatch([put(0)]);
  await store.merge();
  await store.close();
  for (const key of keys) {
    store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch([put(key)]);
    await store.close();
  }
  return fs;
}

describe('any read error counts as the end of a log: later logs are applied, the bad one is deleted', () => {
  test.each(['EIO', 'EMFILE', 'ENOMEM'] as const)(
    '%s: open fails and every file stays',
    async (error) => {
      for (const number of [2, 3, 4]) {
        const fs = await machineWithLogs(1, 2, 3);
        const before = hashesOf(storeFiles(fs));
        const path = `/s/${logName(number)}`;
        fs.faults.add({ call: 'read', error, path, mode: 'sticky' });
        for (const recovery of ['strict', 'salvage'] as const) {
          expect((await rejection(openOn(fs, '/s', { recovery }))).code).toBe('LODESTORE_IO');
        }
        expect(hashesOf(storeFiles(fs))).toEqual(before);
        fs.faults.clear();
        const store = await openOn(fs, '/s');
        expect([...store.keys()]).toEqual([0n, 1n, 2n, 3n]);
        await store.close();
      }
    },
  );
});

test('with a snapshot and no newer log, recovery renames the new snapshot over the old one and removes it', async () => {
  const fs = await machineWithLogs();
  const names = [...storeFiles(fs).keys()].filter((name) => /^(log|snap)/.test(name));
  expect(names).toEqual([snapshotName(1)]);
  for (let round = 0; round < 3; round++) {
    const store = await openOn(fs, '/s');
    expect([...store.keys()]).toEqual([0n]);
    await store.merge();
    await store.close();
    expect([...storeFiles(fs).keys()].filter((name) => /^(log|snap)/.test(name))).toEqual(names);
  }
});

test('the directory is not synced after a log is created', async () => {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s', NO_MERGES);
  for (let key = 0; key < 6; key++) {
    await store.insertBatch([put(key)]);
    for (const model of [fs.minimalCrash()]) {
      const again = await openOn(model, '/s');
      expect(again.size).toBe(key + 1);
      await again.close();
    }
    if (key === 2) await store.merge();
  }
  const created = fs.trace.filter((call) => call.kind === 'open' && call.detail === 'wx');
  const logs = created.filter(({ path }) => path.includes('/log_'));
  expect(logs.length).toBeGreaterThan(1);
  for (const log of logs) {
    const later = fs.trace.slice(fs.trace.indexOf(log));
    const synced = later.findIndex(({ kind, path }) => kind === 'syncDirectory' && path === '/s');
    // The first write at offset 0 has zeros, the second one the header and a group.
    const [, header] = later.flatMap(({ kind, path, detail }, index) =>
      kind === 'write' && path === log.path && detail.startsWith('@0 ') ? [index] : [],
    );
    expect(synced).toBeGreaterThan(0);
    expect(header === undefined || synced < header).toBe(true);
  }
  await store.close();
});

describe('the wrong one of two snapshots is removed, through a path relative to the working directory', () => {
  test.each(['g1-killed-before-removal-of-merged-log', 'g2-killed-before-removal-of-old-snapshot'])(
    '%s: the newest is used, the older one is removed, only in the directory itself',
    async (name) => {
      const directory = await copyOf(ANCESTOR, name);
      const elsewhere = await temporaryDirectory();
      for (const decoy of readdirSync(directory)) writeFileSync(join(elsewhere, decoy), 'mine');
      const before = sumsOf(elsewhere);
      const workingDirectory = process.cwd();
      onTestFinished(() => process.chdir(workingDirectory));
      process.chdir(elsewhere);
      const store = await MetadataStore.open(directory);
      expect(dumpOfStore(store)).toBe(readDump(join(ANCESTOR, `${name}.dump.txt.gz`)));
      await store.merge();
      await store.close();
      expect(readdirSync(directory)).not.toContain(snapshotName(2));
      expect(sumsOf(elsewhere)).toBe(before);
    },
  );

  test('a store opened by a relative path is unaffected by a change of directory', async () => {
    const [here, there] = [await temporaryDirectory(), await temporaryDirectory()];
    const workingDirectory = process.cwd();
    onTestFinished(() => process.chdir(workingDirectory));
    process.chdir(here);
    const store = await MetadataStore.open('store');
    await store.insertBatch([put(1)]);
    process.chdir(there);
    await store.insertBatch([put(2)]);
    await store.merge();
    await store.insertBatch([put(3)]);
    await store.close();
    expect(readdirSync(there)).toEqual([]);
    const again = await MetadataStore.open(join(here, 'store'));
    expect(again.size).toBe(3);
    await again.close();
  });
});

test('foreign file names cause a panic', async () => {
  const directory = await temporaryDirectory();
  const names = [
    'log_',
    'log_xyz',
    'snapshot_12',
    'log_00000000000000010',
    'ŝnapshot',
    'log_ffffffffffffffff',
  ];
  for (const name of names) writeFileSync(join(directory, name), 'mine');
  mkdirSync(join(directory, logName(77)));
  const store = await MetadataStore.open(directory);
  await store.insertBatch([put(1)]);
  await store.merge();
  expect([...store.recovery.foreignNames].sort()).toEqual([...names, logName(77)].sort());
  await store.close();
  for (const name of names) expect(readFileSync(join(directory, name), 'utf8')).toBe('mine');
});

describe("a frame's length is used for an allocation before any check", () => {
  test("in the ancestor's log, a length of a terabyte is a torn tail or damage", async () => {
    const golden = filesIn(join(ANCESTOR, 'b-one-log'));
    const huge = withChange(golden, logName(1), (bytes) => {
      new DataView(bytes.buffer).setBigUint64(0, 2n ** 40n - 1n, true);
      return bytes;
    });
    expect(await rejection(openOn(machineWith(huge), '/s'))).toBeInstanceOf(CorruptionError);
    const behind = withChange(golden, logName(1), (bytes) => {
      const tail = Buffer.alloc(100, 7);
      tail.writeBigUInt64LE(2n ** 40n - 1n);
      return new Uint8Array(Buffer.concat([bytes, tail]));
    });
    const store = await openOn(machineWith(behind), '/s');
    expect(store.recovery.tornTail?.droppedBytes).toBe(100);
    expect(dumpOfStore(store)).toBe(readDump(join(ANCESTOR, 'b-one-log.dump.txt.gz')));
    await store.close();
  });

  test('in our files, a length with an invalid checksum is never used', async () => {
    const files = storeFiles(await machineWithLogs(1));
    for (const [name, offset] of [
      [logName(2), 128 + 8],
      [logName(2), 128 + 12],
      [snapshotName(1), 128 + 8],
    ] as const) {
      const huge = withChange(files, name, (bytes) => {
        new DataView(bytes.buffer).setUint32(offset, 0xffff_fff0, true);
        return bytes;
      });
      const opened = await openOn(machineWith(huge), '/s').catch((error: unknown) => error);
      // The only group of the last log may be torn; a chunk may not.
      if (opened instanceof MetadataStore) await opened.close();
      else expect(opened).toBeInstanceOf(CorruptionError);
    }
  });
});

test('a gap in the log numbers is accepted', async () => {
  const files = storeFiles(await machineWithLogs(1, 2, 3));
  for (const number of [2, 3]) {
    const gap = new Map(files);
    gap.delete(logName(number));
    const error = await rejection(openOn(machineWith(gap), '/s'));
    expect(error).toBeInstanceOf(CorruptionError);
    expect(error.message).toMatch(new RegExp(`log ${number} is missing`));
  }
});

test('logs waiting for a merge are forgotten at shutdown', async () => {
  const fs = await machineWithLogs(1, 2, 3, 4, 5);
  const store = await openOn(fs, '/s');
  expect(store.stats().logs.count).toBe(5);
  await store.merge();
  expect([...store.keys()]).toEqual([0n, 1n, 2n, 3n, 4n, 5n]);
  await store.close();
  const again = await openOn(fs, '/s');
  expect(again.size).toBe(6);
  await again.close();
});

test('one frame per snapshot needs a buffer as large as the store', async () => {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s', NO_MERGES);
  const batch = new WriteBatch();
  const data = new Uint8Array(200);
  for (let key = 0; key < 20_000; key++) {
    crypto.getRandomValues(data);
    batch.put(key, 1, data);
  }
  await store.insertBatch(batch);
  await store.merge();
  await store.close();
  const bytes = storeFiles(fs).get(snapshotName(1)) ?? new Uint8Array(0);
  expect(bytes.length).toBeGreaterThan(4_000_000);
  const snapshot = await readSnapshot(openedFile(bytes), 1);
  const lengths =
    snapshot.kind === 'snapshot' ? snapshot.index.entries.map((e) => e.lengthBytes) : [];
  expect(lengths.length).toBeGreaterThan(15);
  expect(Math.max(...lengths)).toBeLessThan(1.1 * CHUNK_TARGET_BYTES);
});

test('shutdown is acknowledged before the lock is released, so an immediate reopen fails', async () => {
  const directory = await temporaryDirectory();
  for (let round = 0; round < 15; round++) {
    const store = await MetadataStore.open(directory);
    await store.insertBatch([put(round)]);
    await store.close();
  }
  const last = await MetadataStore.open(directory);
  expect(last.size).toBe(15);
  await last.close();
});

test('a batch whose sync failed reappears although its caller was told that it failed', async () => {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s', NO_MERGES);
  await store.insertBatch([put(1)]);
  fs.faults.add({ call: 'writeSync', error: 'EIO' });
  const error = await rejection(store.insertBatch([put(2)]));
  expect([error.code, error.outcome]).toEqual(['LODESTORE_POISONED', 'unknown']);
  expect(store.has(2)).toBe(false);
  expect((await rejection(store.insertBatch([put(3)]))).outcome).toBe('not-applied');
  await store.close();
  const again = await openOn(fs.kill(), '/s');
  const size = again.size;
  expect([again.has(1), again.has(3)]).toEqual([true, false]);
  await again.close();
  const third = await openOn(fs.kill(), '/s');
  expect(third.size).toBe(size);
  await third.close();
});

test('every open rewrites the whole snapshot', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  await store.insertBatch([put(1)]);
  await store.merge();
  await store.close();
  const path = join(directory, snapshotName(1));
  const before = statSync(path, { bigint: true });
  for (let round = 0; round < 3; round++) {
    const again = await MetadataStore.open(directory);
    await again.insertBatch([put(10 + round)]);
    await again.close();
  }
  const after = statSync(path, { bigint: true });
  expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs]);
});

test('a name with a suffix after its 16 digits makes it delete live logs', async () => {
  const fs = await machineWithLogs(1, 2);
  const files = storeFiles(fs);
  for (const name of [`${snapshotName(9)}.old`, `${logName(9)}.bak`, `${snapshotName(9)}~`]) {
    const machine = machineWith(new Map(files).set(name, Uint8Array.of(1, 2, 3)));
    const store = await openOn(machine, '/s', NO_MERGES);
    expect([...store.keys()]).toEqual([0n, 1n, 2n]);
    expect(store.recovery.foreignNames).toEqual([name]);
    expect(store.recovery.removed).toEqual([]);
    await store.merge();
    await store.close();
    expect(storeFiles(machine).get(name)).toEqual(Uint8Array.of(1, 2, 3));
    const again = await openOn(machine, '/s');
    expect(again.size).toBe(3);
    await again.close();
  }
});
