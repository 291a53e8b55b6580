import { expect, test } from 'vitest';
import { StoreFullError, type MetadataStore, type OpenOptions } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { everyNth } from '../support/effort.ts';
import { randomWords } from '../support/random.ts';
import { ScarceDisk, type Shortage } from '../support/scarce-disk.ts';

const KIB = 1024;
const RECORDS = 20;
const OPTIONS: OpenOptions = { reserveFileBytes: 256 * KIB, mergeBytes: 2 ** 40 };
/** Tests one call in this many; all in a full run. */
const STRIDE = everyNth(13);

const word = randomWords(13);

function data(): Uint8Array {
  return new Uint8Array(Uint32Array.from({ length: 1_000 }, word).buffer);
}

/** Waits until the background work of a simulated store is done. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
}

/** A closed store with a reserve and `RECORDS` records in a snapshot and a log. */
async function closedStore(): Promise<CrashFs> {
  const fs = new CrashFs({ trace: false, capacityBytes: 4_096 * KIB });
  const store = await openOn(fs, '/s', OPTIONS);
  for (let key = 0; key < RECORDS; key++) {
    if (key === RECORDS / 2) await store.merge();
    await store.insertBatch([{ type: 'put', key, value: 7, data: data() }]);
  }
  await turns();
  expect(store.stats().space.reserveFile).toBe('kept');
  await store.close();
  return fs;
}

/** The state after a crash now opens on an equally full disk and has `keys`. */
async function expectKept(disk: ScarceDisk, keys: readonly bigint[]): Promise<void> {
  const store = await openOn(disk.machine.minimalCrash(), '/s', OPTIONS);
  expect([...store.keys()]).toEqual(keys);
  await store.close();
}

async function deleteKeys(store: MetadataStore, keys: Iterable<bigint>): Promise<void> {
  for (const key of keys) await store.insertBatch([{ type: 'del', key }]);
}

/**
 * Opens, deletes, merges, deletes all, merges, opens again. Returns the bytes of snapshot and logs.
 */
async function makeRoom(disk: ScarceDisk): Promise<number> {
  const store = await openOn(disk.fileSystem, '/s', OPTIONS);
  expect(store.size).toBe(RECORDS);
  const keys = [...store.keys()];
  const [first, rest] = [keys.slice(0, 5), keys.slice(5)];
  await deleteKeys(store, first);
  await expectKept(disk, rest);
  // The new snapshot may be larger than the free space; no other error is allowed.
  await store.merge().catch((error: unknown) => expect(error).toBeInstanceOf(StoreFullError));
  await expectKept(disk, rest);
  await deleteKeys(store, rest);
  await store.merge();
  expect(store.stats()).toMatchObject({ state: 'open', records: 0, merges: { state: 'idle' } });
  await store.close();
  const again = await openOn(disk.fileSystem, '/s', OPTIONS);
  expect(again.size).toBe(0);
  await again.close();
  await expectKept(disk, []);
  const { logs, merges } = again.stats();
  return logs.bytes + merges.snapshotBytes;
}

test.each<Shortage>(['blocks', 'inodes'])(
  'on a disk without %s from any call on, the store opens, deletes, merges, and loses nothing',
  { timeout: 120_000 },
  async (shortage) => {
    const closed = await closedStore();
    const roomy = new ScarceDisk(closed, shortage, Infinity);
    await makeRoom(roomy);
    expect(roomy.calls).toBeGreaterThan(100);
    for (let call = 1; call <= roomy.calls; call += STRIDE) {
      const disk = new ScarceDisk(closed, shortage, call);
      const usedBytes = await makeRoom(disk).catch((error: unknown) => {
        throw new Error(`${shortage} lacking from call ${call} on`, { cause: error });
      });
      expect(usedBytes, `from call ${call} on`).toBeLessThan(4 * KIB);
    }
  },
);
