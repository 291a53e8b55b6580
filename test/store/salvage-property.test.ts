import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { salvage } from '../../src/cli/salvage.ts';
import { logName, parseFileName } from '../../src/format/file-name.ts';
import { CorruptionError, type MetadataStore, type OpenOptions } from '../../src/index.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import { concernsRecords } from '../../src/store/salvage/salvage-loss.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { runOn } from '../support/cli.ts';
import { makeSubject } from '../support/damage-subject.ts';
import { dumpOfStore } from '../support/dump.ts';
import { isFull, runs } from '../support/effort.ts';
import { ANCESTOR } from '../support/golden.ts';
import { filesIn, machineWith, withChange, withFlip, type Files } from '../support/machine.ts';

/*
 * For directories of every kind and single damages of each file: if a salvage reports no loss that
 * concerns records, the store holds exactly what it held before.
 */

const SIZES = { rotateBytes: 600, reserveBytes: 1024 };
const DATA = new Uint8Array(150).map((_, i) => i * i * 31);

function openSmall(fs: CrashFs, path: string, options: OpenOptions = {}): Promise<MetadataStore> {
  const environment = { ...simulatedEnvironment(fs), sizes: SIZES };
  return openStoreIn(environment, path, { mergeBytes: 2 ** 40, ...options });
}

function filesBelow(fs: CrashFs, directory: string): Files {
  const inside = [...fs.files()].filter(([path]) => path.startsWith(`${directory}/`));
  return new Map(inside.map(([path, bytes]) => [path.slice(directory.length + 1), bytes]));
}

/** Batches that add, change and delete records. */
async function fill(store: MetadataStore, from: number, to: number): Promise<void> {
  for (let key = from; key <= to; key++) {
    await store.insertBatch([
      { type: 'put', key, value: key, data: DATA },
      { type: 'put', key: 1_000_000, value: key },
      { type: 'del', key: Math.max(0, key - 3) },
    ]);
  }
}

async function closedStore(options: OpenOptions = {}): Promise<Files> {
  const fs = new CrashFs({ trace: false });
  const store = await openSmall(fs, '/s', options);
  await fill(store, 1, 6);
  await store.merge();
  await fill(store, 7, 9);
  await store.close();
  return filesBelow(fs, '/s');
}

/** A closed store with nothing but a snapshot. */
async function mergedStore(): Promise<Files> {
  const fs = new CrashFs({ trace: false });
  const store = await openSmall(fs, '/s');
  await fill(store, 1, 6);
  await store.merge();
  await store.close();
  return filesBelow(fs, '/s');
}

async function salvagedStore(then: (store: MetadataStore) => Promise<void>): Promise<Files> {
  const fs = machineWith(await mergedStore());
  const { code } = await runOn(fs, (context) => salvage(context, '/s', '/t', {}));
  expect(code).toBe(0);
  const store = await openSmall(fs, '/t');
  await then(store);
  return filesBelow(fs.kill(), '/t');
}

/** The ancestor's directory after batches of ours. */
async function convertedStore(): Promise<Files> {
  const fs = machineWith(filesIn(join(ANCESTOR, 'c-snapshot-and-live-log')));
  await fill(await openSmall(fs, '/s'), 1, 3);
  return filesBelow(fs.kill(), '/s');
}

const SUBJECTS: Readonly<Record<string, () => Promise<Files>>> = {
  'a snapshot alone': mergedStore,
  'a snapshot and logs': () => closedStore(),
  'retained logs': () => closedStore({ retain: { bytes: 2 ** 30 } }),
  'a store that salvage wrote': () => salvagedStore((store) => store.close()),
  'a store that salvage wrote, with a log': () => salvagedStore((store) => fill(store, 1, 2)),
  "the ancestor's files and a log of ours": convertedStore,
  'three logs that were not closed': async () => (await makeSubject()).files,
};

/** Offsets that are spread over a file, in a full run others each time. */
const SHIFT = isFull ? Math.random() : 0.37;

function offsetsOf(lengthBytes: number, full: number): number[] {
  const count = runs(full);
  return Array.from({ length: count }, (_, i) => Math.floor(((i + SHIFT) * lengthBytes) / count));
}

function* damagesOfFile(files: Files, name: string): Generator<readonly [string, Files]> {
  const bytes = files.get(name)!;
  const others = new Map([...files].filter(([one]) => one !== name));
  yield ['removed', others];
  yield ['renamed', new Map(others).set(`${name}.bak`, bytes)];
  for (const at of [...offsetsOf(128, 8), ...offsetsOf(bytes.length, 12)]) {
    const flipped = withFlip(files, name, at);
    yield [`flipped at ${at}`, flipped];
    const part = Math.floor(bytes.length * ((at * 0.618 + SHIFT) % 1));
    const older = bytes.slice().fill(0, part);
    const copied = new Map(flipped).set(`${name}.bak`, older);
    yield [`flipped at ${at}, beside a copy with zeros from ${part}`, copied];
  }
  for (const at of offsetsOf(bytes.length, 4)) {
    yield [`cut at ${at}`, withChange(files, name, (whole) => whole.slice(0, at))];
    yield [`zeros from ${at}`, withChange(files, name, (whole) => whole.fill(0, at))];
  }
}

/** Every third directory has no lock file; in a full run, each is there with and without it. */
function* damagesOf(files: Files): Generator<readonly [string, Files]> {
  let count = 0;
  for (const name of files.keys()) {
    const { kind } = parseFileName(name);
    if (kind !== 'log' && kind !== 'snapshot') continue;
    for (const [what, damaged] of damagesOfFile(files, name)) {
      const isThird = count++ % 3 === 1;
      if (isFull || !isThird) yield [`${name} ${what}`, damaged];
      if (!isFull && !isThird) continue;
      const unlocked = new Map([...damaged].filter(([one]) => one !== 'lodestore.lock'));
      yield [`${name} ${what}, without the lock file`, unlocked];
    }
  }
}

describe.each(Object.entries(SUBJECTS))('%s', (_what, make) => {
  test('a salvage without a loss of records shows what was there', async () => {
    const whole = await make();
    const before = await openSmall(machineWith(whole), '/s');
    const [dump, { lastSequence }] = [dumpOfStore(before), before.stats()];
    await before.close();
    const outcomes = { refused: 0, lossless: 0 };
    for (const [what, files] of damagesOf(whole)) {
      const strict = await openOn(machineWith(files), '/s', { readOnly: true }).catch(
        (error: unknown) => error,
      );
      if (!(strict instanceof CorruptionError)) continue;
      outcomes.refused++;
      const store = await openSmall(machineWith(files), '/s', { recovery: 'salvage' });
      expect(store.stats().lastSequence >= lastSequence, what).toBe(true);
      if (!store.recovery.losses.some(concernsRecords)) {
        outcomes.lossless++;
        expect(dumpOfStore(store) === dump, what).toBe(true);
      }
      await store.close();
    }
    expect(outcomes.refused).toBeGreaterThan(8);
    expect(outcomes.lossless).toBeGreaterThan(0);
  });
});

test('the subjects have the files that their names say', async () => {
  const retained = await SUBJECTS['retained logs']!();
  expect(retained.has(logName(1))).toBe(true);
  expect([...(await mergedStore()).keys()].filter((name) => name.startsWith('log_'))).toEqual([]);
});
