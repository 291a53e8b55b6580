import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { salvage } from '../../src/cli/salvage.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { ContentSum } from '../../src/format/content-sum.ts';
import { identifyFileHeader } from '../../src/format/file-header.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import type { Loss } from '../../src/index.ts';
import { SnapshotWriter } from '../../src/snapshot/snapshot-writer.ts';
import { sequenceAfterSalvage } from '../../src/store/salvage/salvage-loss.ts';
import { readSalvageable, type Salvageable } from '../../src/store/salvage/salvage-reading.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { runOn } from '../support/cli.ts';
import { columnsOf } from '../support/columns.ts';
import { makeSubject, SNAPSHOT } from '../support/damage-subject.ts';
import { ANCESTOR, V1 } from '../support/golden.ts';
import {
  filesIn,
  machineWith,
  storeFiles,
  withChange,
  withFlip,
  type Files,
} from '../support/machine.ts';
import type { TestRow } from '../support/rows.ts';
import {
  directoryOf,
  growingFile,
  logOf,
  snapshotOf,
  STORE_ID,
} from '../support/small-directory.ts';

const SIGNAL = new AbortController().signal;
const GAP = 2n ** 40n;

/** The files below a directory, with the lock file. */
function filesBelow(fs: CrashFs, directory: string): Files {
  const inside = [...fs.files()].filter(([path]) => path.startsWith(`${directory}/`));
  return new Map(inside.map(([path, bytes]) => [path.slice(directory.length + 1), bytes]));
}

function without(files: Files, ...names: readonly string[]): Files {
  return new Map([...files].filter(([name]) => !names.includes(name)));
}

function readFrom(files: Files): Promise<Salvageable> {
  return readSalvageable(machineWith(files), '/s', SIGNAL);
}

function keysOf(losses: readonly Loss[]): unknown[] {
  return losses.map(({ path, firstKey, lastKey }) => [path, firstKey, lastKey]);
}

/** The files of a new store after these puts, each one batch. The store is not closed. */
async function storeWith(keys: readonly number[]): Promise<Files> {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s');
  for (const key of keys) await store.put(key, key);
  return filesBelow(fs.kill(), '/s');
}

/** A store that salvage wrote of these files, opened and changed by one batch. */
async function salvagedStore(files: Files): Promise<Files> {
  const fs = machineWith(files);
  await runOn(fs, (context) => salvage(context, '/s', '/t', {}));
  const store = await openOn(fs, '/t');
  expect(store.size).toBeGreaterThan(0);
  await store.put(7_777_777, 1);
  return filesBelow(fs.kill(), '/t');
}

describe('a missing first snapshot', () => {
  const FIRST = snapshotName(0);

  test('of a new store held no record', async () => {
    const found = await readFrom(without(await storeWith([1, 2, 3]), FIRST));
    expect(keysOf(found.losses)).toEqual([[`/s/${FIRST}`, undefined, undefined]]);
    expect(sequenceAfterSalvage(found)).toBe(3n);
  });

  test.each<[string, () => Promise<Files>]>([
    [
      'that salvage wrote with losses',
      async () => salvagedStore(withFlip(await storeWith([1, 2, 3]), logName(1), 150)),
    ],
    ['that salvage wrote without losses', async () => salvagedStore(await storeWith([1, 2, 3]))],
    [
      "that salvage wrote of the ancestor's records, which have no sequence numbers",
      () => salvagedStore(filesIn(join(ANCESTOR, 'c-snapshot-and-live-log'))),
    ],
  ])('%s held records: they are lost', async (_what, make) => {
    const files = await make();
    const found = await readFrom(without(files, FIRST));
    expect(keysOf(found.losses)).toEqual([[`/s/${FIRST}`, 0n, undefined]]);
    expect(sequenceAfterSalvage(found)).toBeGreaterThan(GAP);
    const { out } = await runOn(machineWith(without(files, FIRST)), (context) =>
      salvage(context, '/s', '/t', {}),
    );
    expect(out).toContain('keys 0 to unknown');
  });

  test('without any log may have held records', async () => {
    const found = await readFrom(new Map([['note', new Uint8Array(1)]]));
    expect(keysOf(found.losses)).toEqual([[`/s/${FIRST}`, 0n, undefined]]);
  });
});

test('--skip-unreadable with nothing but an unreadable snapshot reports it as lost', async () => {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s');
  await store.put(1, 1);
  await store.merge();
  await store.close();
  const machine = machineWith(without(filesBelow(fs, '/s'), logName(2), 'lodestore.lock'));
  machine.faults.add({ call: 'open', path: `/s/${snapshotName(1)}`, mode: 'sticky' });
  const { code, out } = await runOn(machine, (context) =>
    salvage(context, '/s', '/t', { skipUnreadable: true }),
  );
  expect(code).toBe(1);
  expect(out).toContain('keys 0 to unknown');
});

describe('a snapshot whose header, with the sequence number, is damaged', () => {
  /** A store of three batches that were merged, with the merged log and the lock file. */
  async function mergedStore(): Promise<Files> {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s');
    for (const key of [1, 2, 3]) await store.put(key, key);
    const merged = filesBelow(fs, '/s').get(logName(1))!;
    await store.merge();
    await store.close();
    const files = without(filesBelow(fs, '/s'), logName(2)).set(logName(1), merged);
    return withFlip(files, snapshotName(1), 60);
  }

  test.each<[string, readonly string[], bigint]>([
    ['the claim and the merged log name it', [], 3n],
    ['the claim names it', [logName(1)], 3n],
    ['the merged log names it', ['lodestore.lock'], 3n],
    ['nothing names it', [logName(1), 'lodestore.lock'], 0n],
  ])(
    '%s: numbers continue after a gap, because there may be later ones',
    async (_what, gone, last) => {
      const files = without(await mergedStore(), ...gone);
      const found = await readFrom(files);
      expect(keysOf(found.losses)).toEqual([[`/s/${snapshotName(1)}`, undefined, undefined]]);
      expect(sequenceAfterSalvage(found)).toBe(last + GAP);
      const store = await openOn(machineWith(files), '/s', { recovery: 'salvage' });
      expect(store.size).toBe(3);
      expect(store.stats().lastSequence).toBe(last + GAP);
      await store.close();
    },
  );
});

describe('a log of a later format beside a damaged snapshot', () => {
  const LATER = logName(5);

  /** The subject with a damaged chunk, and log 5 of a version that is not read. */
  async function files(): Promise<Files> {
    const subject = await makeSubject();
    const chunk = subject.chunks[1]!;
    const damaged = withFlip(subject.files, SNAPSHOT, chunk.from + 50);
    return withChange(damaged, LATER, (bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      view.setUint32(8, 4, true);
      const seed = new ChecksumSeed(STORE_ID, 'log', 5);
      view.setUint32(124, seed.checksum(bytes.subarray(0, 124), 0), true);
      return bytes;
    });
  }

  test.each([LATER, logName(9)])('as %s: salvage refuses, and changes nothing', async (name) => {
    const all = await files();
    const later = all.get(LATER)!;
    all.delete(LATER);
    all.set(name, later);
    const refused = { code: 'LODESTORE_UNSUPPORTED_FORMAT', path: `/s/${name}` };
    const fs = machineWith(all);
    await expect(openOn(fs, '/s', { recovery: 'salvage' })).rejects.toMatchObject(refused);
    expect(storeFiles(fs)).toEqual(all);
    const command = runOn(fs, (context) => salvage(context, '/s', '/t', {}));
    await expect(command).rejects.toMatchObject(refused);
  });

  test('under a foreign name it is not used', async () => {
    const subject = await makeSubject();
    const all = subject.files.set(`${LATER}.new`, (await files()).get(LATER)!);
    const found = await readFrom(all);
    expect([found.losses, found.moves]).toEqual([[], []]);
  });
});

test('a log that continues another history: values may be older, and positions are refused', async () => {
  const merged = { lengthBytes: 777, lastSequence: 40n, chain: 1 };
  const predecessor = { ...merged, number: 3 };
  const batch = (key: bigint): readonly (readonly TestRow[])[] => [[{ key, value: 1n }]];
  const four = { number: 4, predecessor, seal: 'alone' } as const;
  const longer = await logOf({ ...four, groups: [batch(1n), batch(2n), batch(3n)] });
  const followed = await logOf({ ...four, groups: [batch(1n), batch(2n)] });
  const five = await logOf({
    number: 5,
    predecessor: followed.asPredecessor,
    groups: [batch(5n), batch(6n)],
  });
  const files = directoryOf({ number: 3, bytes: await snapshotOf(3, [], merged) }, [
    { number: 4, bytes: longer.bytes },
    { number: 5, bytes: five.bytes },
  ]);
  const found = await readFrom(files);
  const other = found.losses.filter((loss) => loss.olderValuesMayShow);
  expect(other).toMatchObject([{ firstSequence: undefined, firstKey: undefined }]);
  expect(sequenceAfterSalvage(found)).toBe(44n + GAP);
  const { out } = await runOn(machineWith(files), (context) => salvage(context, '/s', '/t', {}));
  expect(out).toContain('Lost, in 1 place:');
  expect(out).toContain('some keys may have older values');
});

test('records that do not have the content hash of their snapshot are reported', async () => {
  const { file, bytes } = growingFile();
  const predecessor = { number: 3, lengthBytes: 777, lastSequence: 40n, chain: 1 };
  const header = { kind: 'snapshot', storeId: STORE_ID, number: 3, epoch: 1, predecessor } as const;
  const writer = new SnapshotWriter(file, header);
  await writer.writeChunk(columnsOf([{ key: 1n, value: 1n, data: new Uint8Array(1) }]));
  writer.addCopiedContent(new ContentSum(5n));
  await writer.finish();
  const files: Files = new Map([[SNAPSHOT, bytes()]]);
  const found = await readFrom(files);
  expect(found.columns).toHaveLength(1);
  const loss = { path: `/s/${SNAPSHOT}`, firstKey: undefined, olderValuesMayShow: true };
  expect(found.losses).toMatchObject([loss]);
  const { code, out } = await runOn(machineWith(files), (context) =>
    salvage(context, '/s', '/t', {}),
  );
  expect(code).toBe(1);
  expect(out).toMatch(/the records do not have the content hash.*some keys may have older values/);
  // Without a header it is unknown whether the zeros of an index are a hash.
  expect(await readFrom(withFlip(files, SNAPSHOT, 60))).toMatchObject({
    losses: [{ firstKey: undefined }, loss],
  });
});

test('a snapshot of version 1 whose header is damaged has no content hash', async () => {
  const files = filesIn(join(V1, 'g1-snapshot-of-many-chunks'));
  const name = [...files.keys()].filter((one) => one.startsWith('snapshot_')).at(-1)!;
  const { losses } = await readFrom(withFlip(files, name, 60));
  expect(losses).toMatchObject([{ toOffset: 128, firstKey: undefined, olderValuesMayShow: false }]);
});

test.each<[string, (files: Files, name: string) => Files]>([
  ['missing', without],
  ['cut', (files, name) => withChange(files, name, (bytes) => bytes.fill(0))],
])(
  'a log of the ancestor that is %s before one of ours may have held any key',
  async (_, damage) => {
    const fs = machineWith(filesIn(join(ANCESTOR, 'c-snapshot-and-live-log')));
    await (await openOn(fs, '/s')).put(1, 1);
    const found = await readFrom(damage(filesBelow(fs.kill(), '/s'), logName(4)));
    expect(found.losses.some((loss) => loss.olderValuesMayShow)).toBe(true);
    expect(sequenceAfterSalvage(found)).toBe(1n + GAP);
  },
);

test('a log with later batches is not replaced by a copy that the next log follows', async () => {
  const { files } = await makeSubject();
  const followed = files.get(logName(5))!;
  const { predecessor } = identifyFileHeader(followed)!;
  const groups = [1n, 2n, 3n, 4n, 5n].map((key) => [[{ key, value: 7n }]]);
  const longer = await logOf({ number: 5, predecessor, groups });
  files.set(logName(5), longer.bytes).set(`${logName(5)}.bak`, followed);
  const found = await readFrom(files);
  expect(found.moves).toEqual([]);
  expect(found.losses).toContainEqual(
    expect.objectContaining({ path: `/s/${logName(6)}`, olderValuesMayShow: true }),
  );
});
