import { beforeAll, describe, expect, test } from 'vitest';
import { identifyFileHeader } from '../../src/format/file-header.ts';
import { LOCK_NAME, logName, snapshotName } from '../../src/format/file-name.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import { planMoves } from '../../src/store/salvage/placement.ts';
import { readSalvageable } from '../../src/store/salvage/salvage-reading.ts';
import { makeSubject, SNAPSHOT as SUBJECT_SNAPSHOT } from '../support/damage-subject.ts';
import { casesOf } from '../support/effort.ts';
import { machineWith, withChange, withFlip, type Files } from '../support/machine.ts';
import { STORE_ID } from '../support/small-directory.ts';

const SIGNAL = new AbortController().signal;
const SNAPSHOT = snapshotName(1);

/** The files of `/s`, with the lock file. */
function allFiles(fs: CrashFs): Files {
  return new Map([...fs.files()].map(([path, bytes]) => [path.slice(3), bytes]));
}

function without(files: Files, ...names: readonly string[]): Files {
  return new Map([...files].filter(([name]) => !names.includes(name)));
}

/** The files of a store after a merge and a close: a snapshot of 40 records, and the lock file. */
async function mergedStore(): Promise<Files> {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s');
  for (let key = 1; key <= 40; key++) await store.put(key, key);
  await store.merge();
  await store.close();
  return without(allFiles(fs), logName(2));
}

async function salvaged(files: Files): Promise<{ readonly records: number; readonly id: string }> {
  const found = await readSalvageable(machineWith(files), '/s', SIGNAL);
  const records = found.columns.reduce((sum, chunk) => sum + chunk.recordCount, 0);
  return { records, id: Buffer.from(found.storeId).toString('hex') };
}

describe('a snapshot without another header', () => {
  let files: Files;
  const whole = { records: 40, id: Buffer.from(STORE_ID).toString('hex') };

  beforeAll(async () => {
    files = await mergedStore();
  });

  test('the directory has no other file of the store', () => {
    expect([...files.keys()].filter((name) => /^(?:log|snapshot)_/.test(name))).toEqual([SNAPSHOT]);
  });

  test.each([
    ['with the lock file', (all: Files) => all],
    ['without the lock file', (all: Files) => without(all, LOCK_NAME)],
  ] as const)('%s: one damaged byte of its header loses no record', async (_what, kept) => {
    for (const at of casesOf(128, 8)) {
      expect(await salvaged(withFlip(kept(files), SNAPSHOT, at)), `byte ${at}`).toEqual(whole);
    }
  });

  test('the claim names the store if the whole header is gone', async () => {
    const damaged = withChange(files, SNAPSHOT, (bytes) => bytes.fill(0xee, 0, 128));
    expect(await salvaged(damaged)).toEqual(whole);
    expect((await salvaged(without(damaged, LOCK_NAME))).records).toBe(0);
    const fs = machineWith(damaged);
    const store = await openOn(fs, '/s', { recovery: 'salvage' });
    expect(store.size).toBe(40);
    await store.close();
    const newest = [...fs.files()].filter(([path]) => path.startsWith('/s/snapshot_')).at(-1);
    expect(identifyFileHeader(newest![1])?.storeId).toEqual(STORE_ID);
  });

  test('the claim of another store is not taken where the frames verify under another id', async () => {
    const fs = new CrashFs({ trace: false });
    const randomBytes = (lengthBytes: number): Uint8Array => new Uint8Array(lengthBytes).fill(0x21);
    const other = await openStoreIn({ ...simulatedEnvironment(fs), randomBytes }, '/s', {});
    await other.put(1, 1);
    await other.close();
    const lock = allFiles(fs).get(LOCK_NAME)!;
    const damaged = withFlip(files, SNAPSHOT, 60).set(LOCK_NAME, lock);
    expect(await salvaged(damaged)).toEqual(whole);
  });
});

describe('files of two stores', () => {
  const OTHER = new Uint8Array(16).fill(0x77);

  async function claimOf(storeId: Uint8Array): Promise<Uint8Array> {
    const fs = new CrashFs({ trace: false });
    const randomBytes = (): Uint8Array => storeId.slice();
    const store = await openStoreIn({ ...simulatedEnvironment(fs), randomBytes }, '/s', {});
    await store.put(1, 1);
    await store.close();
    return allFiles(fs).get(LOCK_NAME)!;
  }

  test('a claim does not count if only a file under a foreign name is of its store', async () => {
    const subject = await makeSubject();
    const left = await makeSubject({ storeId: OTHER });
    const files = subject.files
      .set(LOCK_NAME, await claimOf(OTHER))
      .set(`${logName(4)}.bak`, left.files.get(logName(4))!);
    expect(await planMoves(machineWith(files), '/s', SIGNAL)).toEqual([]);
  });

  test('a claim counts if a frame in a file with a damaged header is of its store', async () => {
    const subject = await makeSubject();
    const other = await makeSubject({ storeId: OTHER });
    const files = without(subject.files, logName(4), logName(5), logName(6))
      .set(LOCK_NAME, await claimOf(STORE_ID))
      .set(logName(4), other.files.get(logName(4))!);
    const damaged = withFlip(files, SUBJECT_SNAPSHOT, 60);
    expect(await planMoves(machineWith(damaged), '/s', SIGNAL)).toEqual([
      { from: logName(4), to: undefined, reason: 'it belongs to another store' },
    ]);
    expect((await salvaged(damaged)).records).toBe(9);
  });
});
