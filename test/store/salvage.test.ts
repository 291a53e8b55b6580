import { execFileSync } from 'node:child_process';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { jsonForm } from '../../src/base/json-form.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import { CorruptionError, MetadataStore, StoreError } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { dumpOfSubject, makeSubject, SNAPSHOT, type Subject } from '../support/damage-subject.ts';
import { dumpOfStore, readDump } from '../support/dump.ts';
import { ANCESTOR } from '../support/golden.ts';
import {
  filesIn,
  machineWith,
  storeFiles,
  withChange,
  withFlip,
  type Files,
} from '../support/machine.ts';
import { closedStore, flipByte, namesIn } from '../support/store-directory.ts';

let subject: Subject;

beforeAll(async () => {
  subject = await makeSubject();
});

function put(key: number, value: number): { type: 'put'; key: number; value: number } {
  return { type: 'put', key, value };
}

async function strictError(files: Files): Promise<unknown> {
  return openOn(machineWith(files), '/s').catch((error: unknown) => error);
}

describe('two snapshots', () => {
  const OLDER = snapshotName(1);
  const NEWEST = snapshotName(4);
  let files: Files;
  let dump: string;

  beforeAll(async () => {
    const fs = new CrashFs({ trace: false });
    const options = { mergeBytes: 2 ** 40 };
    let store = await openOn(fs, '/s', options);
    for (let key = 0; key < 50; key++) await store.insertBatch([put(key, key + 1)]);
    await store.merge();
    for (const value of [100, 200, 300]) {
      await store.insertBatch([put(value, value), put(7, value), { type: 'del', key: value / 10 }]);
      await store.close();
      store = await openOn(fs, '/s', options);
    }
    const before = storeFiles(fs);
    await store.merge();
    dump = dumpOfStore(store);
    await store.close();
    files = new Map([...before, ...storeFiles(fs)]);
    // A prepared, empty log.
    files.delete(logName(5));
  });

  test.each([
    ['header', (all: Files) => withFlip(all, NEWEST, 40)],
    ['chunk', (all: Files) => withFlip(all, NEWEST, 190)],
    ['trailer', (all: Files) => withFlip(all, NEWEST, -30)],
    ['everything', (all: Files) => withChange(all, NEWEST, (bytes) => bytes.fill(0x3c))],
    ['the end', (all: Files) => withChange(all, NEWEST, (bytes) => bytes.slice(0, 200))],
  ] as const)(
    'the newest is damaged (%s), and the older one and its logs are there: nothing is lost',
    async (_what, damage) => {
      const damaged = damage(files);
      expect(await strictError(damaged)).toBeInstanceOf(CorruptionError);
      const fs = machineWith(damaged);
      const store = await openOn(fs, '/s', { recovery: 'salvage' });
      expect(dumpOfStore(store)).toBe(dump);
      expect(store.recovery.losses.length).toBeGreaterThan(0);
      for (const loss of store.recovery.losses) {
        expect(loss.path).toBe(`/s/${NEWEST}`);
        expect(loss.reason).toMatch(/hold the same records/);
        expect(loss).toMatchObject({ firstKey: undefined, firstSequence: undefined });
        expect(loss.olderValuesMayShow).toBe(false);
        expect(fs.files().get(loss.quarantined ?? '')).toEqual(damaged.get(NEWEST));
      }
      await store.close();
      const again = await openOn(fs, '/s');
      expect(dumpOfStore(again)).toBe(dump);
      await again.close();
    },
  );

  test.each([
    [
      'a log between is missing',
      (all: Files) => new Map([...all].filter(([n]) => n !== logName(3))),
    ],
    [
      'the last log is missing',
      (all: Files) => new Map([...all].filter(([n]) => n !== logName(4))),
    ],
    ['a log between is damaged', (all: Files) => withFlip(all, logName(3), 150)],
    ['the last log is torn', (all: Files) => withChange(all, logName(4), (b) => b.slice(0, 150))],
    ['the older one is damaged, too', (all: Files) => withFlip(all, OLDER, 190)],
  ] as const)('%s: the older one is not used instead of the newest', async (_what, damage) => {
    const damaged = withFlip(damage(files), NEWEST, 190);
    const fs = machineWith(damaged);
    const store = await openOn(fs, '/s', { recovery: 'salvage' });
    const { losses, moved } = store.recovery;
    expect(losses[0]).toMatchObject({ path: `/s/${NEWEST}`, firstKey: 0n, lastKey: 300n });
    expect(store.size).toBe(0);
    await store.close();
    // But it is kept, with its logs: nothing else has a value of the lost keys.
    const names = [...damaged.keys()].filter((name) => /^(log|snapshot)_/.test(name));
    const kept = storeFiles(fs);
    for (const name of names) expect(kept.get(`quarantine/${name}`)).toEqual(damaged.get(name));
    const unused = names.filter((name) => name !== NEWEST).map((name) => `/s/${name}`);
    expect(moved.map(({ from }) => from).sort()).toEqual(unused.sort());
    for (const { to, reason } of moved) {
      expect(fs.files().has(to)).toBe(true);
      expect(reason).toMatch(/lost keys/);
    }
  });
});

test('a snapshot without any log whose trailer is damaged keeps all its records', async () => {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s');
  await store.insertBatch([put(1, 10), put(2, 20)]);
  await store.merge();
  await store.close();
  const damaged = withFlip(storeFiles(fs), snapshotName(1), -5);
  expect([...damaged.keys()].some((name) => name.startsWith('log'))).toBe(false);
  const salvaged = await openOn(machineWith(damaged), '/s', { recovery: 'salvage' });
  expect([...salvaged.keys()]).toEqual([1n, 2n]);
  expect(salvaged.stats().lastSequence).toBe(1n);
  await salvaged.close();
});

test('a foreign file keeps its name, also one that looks like a moved log', async () => {
  const [four, five] = [logName(4), logName(5)];
  const [ofFour, ofFive] = [subject.files.get(four)!, subject.files.get(five)!];
  const theirs: Files = new Map([
    [`${four}.moved`, Uint8Array.of(1, 2, 3)],
    [`${five}.moved`, Uint8Array.of(4, 5, 6)],
  ]);
  // The second name that an interrupted salvage has given a file: it is used again.
  const ours = [[`${five}.moved.1`, ofFour]] as const;
  const swapped = new Map(subject.files).set(four, ofFive).set(five, ofFour);
  const fs = machineWith(new Map([...swapped, ...theirs, ...ours]));
  const store = await openOn(fs, '/s', { recovery: 'salvage' });
  expect(store.recovery.losses).toEqual([]);
  expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], subject.groups));
  await store.close();
  const left = [...storeFiles(fs)].filter(([name]) => name.includes('.moved'));
  expect(new Map(left)).toEqual(theirs);
});

test.runIf(process.platform !== 'win32')('a pipe in the directory is passed over', async () => {
  const directory = await closedStore();
  const [log] = await namesIn(directory, 'log_');
  await flipByte(directory, log!, 300);
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  await symlink('pipe', join(directory, 'link'));
  const store = await MetadataStore.open(directory, { recovery: 'salvage' });
  expect(store.recovery.losses.length).toBeGreaterThan(0);
  expect([...store.recovery.foreignNames].sort()).toEqual(['link', 'pipe']);
  await store.close();
});

/** Several files, each damaged in acknowledged data. */
function severalDamages(): Files {
  const { groups, chunks } = subject;
  const [chunk, first, second] = [chunks[1], groups[1], groups[4]];
  if (chunk === undefined || first === undefined || second === undefined) throw new Error('cut');
  let files = withFlip(subject.files, SNAPSHOT, chunk.from + 50);
  files = withFlip(files, logName(4), first.from + 50);
  return withFlip(files, logName(5), second.from + 50);
}

function severalSurvivors(): string {
  return dumpOfSubject(
    [0, 2],
    subject.groups.filter((_group, index) => index !== 1 && index !== 4),
  );
}

test('damage in several files: each loss is reported and each original kept once', async () => {
  const damaged = severalDamages();
  const fs = machineWith(damaged);
  const store = await openOn(fs, '/s', { recovery: 'salvage' });
  expect(dumpOfStore(store)).toBe(severalSurvivors());
  const names = [SNAPSHOT, logName(4), logName(5)];
  expect(store.recovery.losses.map((loss) => loss.path)).toEqual(names.map((n) => `/s/${n}`));
  const kept = [...fs.files().keys()].filter((path) => path.startsWith('/s/quarantine/'));
  const expected = [...names, 'SALVAGE.json'].map((name) => `/s/quarantine/${name}`);
  expect(kept.sort()).toEqual(expected.sort());
  await store.close();
});

test('a damaged file is kept by a second name, without a copy', async () => {
  const fs = machineWith(severalDamages(), { trace: true });
  await (await openOn(fs, '/s', { recovery: 'salvage' })).close();
  const written = fs.trace.filter(({ kind, path }) => kind === 'write' && /quarantine/.test(path));
  expect(new Set(written.map(({ path }) => path))).toEqual(new Set(['/s/quarantine/SALVAGE.json']));
});

test('unfinished snapshots are removed before a new one needs the space', async () => {
  const name = `${snapshotName(6)}.0badcafe.tmp`;
  const files = severalDamages().set(name, new Uint8Array(700).fill(0xee));
  const fs = machineWith(files);
  fs.faults.add({ call: 'write', error: 'ENOSPC', path: /snapshot_/ });
  await expect(openOn(fs, '/s', { recovery: 'salvage' })).rejects.toThrow(StoreError);
  files.delete(name);
  expect(storeFiles(fs)).toEqual(files);
});

test('earlier quarantined files are not overwritten', async () => {
  const damaged = severalDamages();
  damaged.set(`quarantine/${SNAPSHOT}`, Uint8Array.of(1, 2, 3));
  const fs = machineWith(damaged);
  const store = await openOn(fs, '/s', { recovery: 'salvage' });
  const [loss] = store.recovery.losses;
  expect(loss?.quarantined).toBe(`/s/quarantine/${SNAPSHOT}.1`);
  expect(fs.files().get(`/s/quarantine/${SNAPSHOT}`)).toEqual(Uint8Array.of(1, 2, 3));
  expect(fs.files().get(`/s/quarantine/${SNAPSHOT}.1`)).toEqual(damaged.get(SNAPSHOT));
  await store.close();
});

test('a salvage of an undamaged directory changes nothing', async () => {
  const fs = machineWith(subject.files);
  const store = await openOn(fs, '/s', { recovery: 'salvage' });
  expect(store.recovery.losses).toEqual([]);
  expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], subject.groups));
  expect([...fs.files().keys()].some((path) => path.includes('quarantine'))).toBe(false);
  await store.close();
});

/** The machines after crashes and kills at the syncs of a salvage. */
async function crashesOfSalvage(model: 'posix' | 'ordered' | 'linked'): Promise<CrashFs[]> {
  const crashed: CrashFs[] = [];
  const fs = machineWith(severalDamages(), {
    model,
    onCrashPoint: (point) => {
      crashed.push(point.fs.kill());
      for (const state of point.fs.crashStates({ cap: 25, seed: point.number })) {
        crashed.push(point.fs.materialise(state, { trace: false }));
      }
    },
  });
  await (await openOn(fs, '/s', { recovery: 'salvage' })).close();
  return crashed;
}

describe('a crash at any sync of a salvage', () => {
  test.each(['posix', 'ordered', 'linked'] as const)(
    'a strict open is refused or correct, a second salvage completes, and no original is lost (%s)',
    async (model) => {
      const crashed = await crashesOfSalvage(model);
      const originals = [...severalDamages()].filter(([, bytes]) => bytes.length > 0);
      const damagedNames = [SNAPSHOT, logName(4), logName(5)];
      const outcomes = { refused: 0, opened: 0 };
      for (const fs of crashed) {
        const left = storeFiles(fs);
        for (const [name, bytes] of originals.filter(([n]) => damagedNames.includes(n))) {
          const places = [...left].filter(
            ([place]) => place === name || place.includes(`/${name}`),
          );
          expect(
            places.some(([, found]) => Buffer.compare(found, bytes) === 0),
            name,
          ).toBe(true);
        }
        const strict: unknown = await openOn(fs.kill(), '/s').catch((error: unknown) => error);
        expect(strict instanceof MetadataStore || strict instanceof CorruptionError).toBe(true);
        if (strict instanceof MetadataStore) {
          outcomes.opened++;
          expect(dumpOfStore(strict)).toBe(severalSurvivors());
          await strict.close();
        } else outcomes.refused++;
        const again = await openOn(fs, '/s', { recovery: 'salvage' });
        expect(dumpOfStore(again)).toBe(severalSurvivors());
        await again.close();
      }
      expect(outcomes.refused).toBeGreaterThan(9);
      expect(outcomes.opened).toBeGreaterThan(9);
    },
  );
});

test.each(['posix', 'ordered', 'linked'] as const)(
  'the report is durable before the new snapshot has its name (%s)',
  async (model) => {
    const whole = machineWith(severalDamages());
    const store = await openOn(whole, '/s', { recovery: 'salvage' });
    const { losses, moved } = store.recovery;
    const report = { snapshot: snapshotName(6), losses, moved };
    const expected = JSON.parse(JSON.stringify(jsonForm(report))) as object;
    await store.close();
    let installed = 0;
    for (const fs of await crashesOfSalvage(model)) {
      const left = storeFiles(fs);
      if (!left.has(snapshotName(6))) continue;
      installed++;
      const text = new TextDecoder().decode(left.get('quarantine/SALVAGE.json'));
      expect(JSON.parse(text)).toMatchObject(expected);
    }
    expect(installed).toBeGreaterThan(9);
  },
);

test.each(['linked', 'copied'] as const)(
  'a salvage whose disk is full leaves no new file (%s)',
  async (links) => {
    let failed = 0;
    for (let nth = 1; ; nth++) {
      const fs = machineWith(severalDamages());
      if (links === 'copied') fs.faults.add({ call: 'link', error: 'EPERM', mode: 'sticky' });
      fs.faults.add({ call: 'write', nth, error: 'ENOSPC', path: /snapshot_|quarantine/ });
      const store: unknown = await openOn(fs, '/s', { recovery: 'salvage' }).catch(
        (caught: unknown) => caught,
      );
      if (store instanceof MetadataStore) {
        await store.close();
        break;
      }
      failed++;
      expect(store).toMatchObject({ code: 'LODESTORE_FULL' });
      expect(storeFiles(fs), `write ${nth}`).toEqual(severalDamages());
    }
    expect(failed).toBeGreaterThan(links === 'copied' ? 3 : 1);
  },
);

describe('a call that fails during a salvage', () => {
  const calls = [
    ['read', 'EIO'],
    ['open', 'EMFILE'],
    ['write', 'ENOSPC'],
    ['write', 'EIO'],
    ['dataSync', 'EIO'],
    ['rename', 'EIO'],
    ['makeDirectory', 'EIO'],
    ['syncDirectory', 'EIO'],
  ] as const;

  test.each(calls)(
    '%s %s: no original is lost, and a second salvage completes',
    async (call, error) => {
      let failed = 0;
      for (let nth = 1; ; nth++) {
        const files = severalDamages();
        const fs = machineWith(files);
        fs.faults.add({ call, nth, error });
        const store: unknown = await openOn(fs, '/s', { recovery: 'salvage' }).catch(
          (caught: unknown) => caught,
        );
        if (store instanceof MetadataStore) {
          await store.close();
          break;
        }
        failed++;
        expect(store).toBeInstanceOf(StoreError);
        expect(store).not.toBeInstanceOf(CorruptionError);
        fs.faults.clear();
        const again = await openOn(fs.kill(), '/s', { recovery: 'salvage' });
        expect(dumpOfStore(again), `${call} ${nth}`).toBe(severalSurvivors());
        await again.close();
      }
      expect(failed).toBeGreaterThan(0);
    },
  );

  test('EIO during the judgement is not damage, and nothing is moved', async () => {
    const fs = machineWith(severalDamages());
    fs.faults.add({ call: 'read', mode: 'sticky', error: 'EIO', path: `/s/${logName(6)}` });
    const error: unknown = await openOn(fs, '/s', { recovery: 'salvage' }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'LODESTORE_IO' });
    expect(storeFiles(fs)).toEqual(severalDamages());
  });
});

describe("the ancestor's files", () => {
  const golden = (name: string): Files => filesIn(join(ANCESTOR, name));
  const dumpOfGolden = (name: string): string => readDump(join(ANCESTOR, `${name}.dump.txt.gz`));
  const SEVERAL = 'd-snapshot-and-several-logs';

  test.each([
    ['a frame in the middle of a log', withFlip(golden(SEVERAL), logName(4), 40_000), logName(4)],
    ['the first frame of the last log', withFlip(golden(SEVERAL), logName(7), 20), logName(7)],
    ['a length', withFlip(golden(SEVERAL), logName(5), 6), logName(5)],
    ['the end of a log that is not the last', cut(logName(3)), logName(3)],
  ])('%s: refused, then salvaged with the loss named', async (_what, files, name) => {
    expect(await strictError(files)).toMatchObject({ path: `/s/${name}` });
    const fs = machineWith(files);
    const store = await openOn(fs, '/s', { recovery: 'salvage' });
    const { losses } = store.recovery;
    expect(losses.map((loss) => loss.path)).toEqual([`/s/${name}`]);
    expect(losses[0]).toMatchObject({ firstKey: 0n, olderValuesMayShow: true });
    expect(fs.files().get(losses[0]?.quarantined ?? '')).toEqual(files.get(name));
    expect(store.size).toBeGreaterThan(500);
    await store.close();
    const again = await openOn(fs, '/s');
    expect(again.recovery.snapshot?.format).toBe('lodestore');
    await again.close();
  });

  test('the frames after a broken one are kept', async () => {
    const whole = await openOn(machineWith(golden('e1-torn-in-payload')), '/s');
    const last = withFlip(golden('e1-torn-in-payload'), logName(3), 20);
    const store = await openOn(machineWith(last), '/s', { recovery: 'salvage' });
    const [first, tail] = store.recovery.losses;
    expect(first).toMatchObject({ fromOffset: 0, firstKey: 0n });
    expect(tail?.toOffset).toBe(last.get(logName(3))?.length);
    expect(first?.toOffset).toBeLessThan(tail?.fromOffset ?? 0);
    const keys = new Set(whole.keys());
    expect(store.size).toBeGreaterThan(100);
    expect([...store.keys()].filter((key) => !keys.has(key)).length).toBeLessThan(20);
    await store.close();
    await whole.close();
  });

  function cut(name: string): Files {
    return withChange(golden(SEVERAL), name, (bytes) => bytes.slice(0, -30));
  }

  test('with a damaged snapshot, the records in the logs are kept', async () => {
    const files = withFlip(golden(SEVERAL), snapshotName(2), 5000);
    expect(await strictError(files)).toMatchObject({ path: `/s/${snapshotName(2)}` });
    const store = await openOn(machineWith(files), '/s', { recovery: 'salvage' });
    expect(store.recovery.losses).toMatchObject([
      { path: `/s/${snapshotName(2)}`, fromOffset: 0, firstKey: 0n, olderValuesMayShow: false },
    ]);
    expect(store.size).toBeGreaterThan(0);
    await store.close();
  });

  test('a missing log is named, and no batch of it is guessed', async () => {
    const files = golden(SEVERAL);
    files.delete(logName(5));
    expect(await strictError(files)).toMatchObject({ reason: expect.stringMatching(/log 5/) });
    const store = await openOn(machineWith(files), '/s', { recovery: 'salvage' });
    expect(store.recovery.losses).toMatchObject([
      { path: `/s/${logName(5)}`, quarantined: undefined, olderValuesMayShow: true },
    ]);
    await store.close();
  });

  test('with a damaged newest snapshot beside the older one and the merged log, nothing is lost', async () => {
    const name = 'g1-killed-before-removal-of-merged-log';
    const files = withFlip(golden(name), snapshotName(3), 5000);
    expect(await strictError(files)).toBeInstanceOf(CorruptionError);
    const store = await openOn(machineWith(files), '/s', { recovery: 'salvage' });
    // The ancestor writes no seal: nothing proves that its log 3 is whole, so a loss is reported.
    expect(store.recovery.losses).toMatchObject([{ path: `/s/${snapshotName(3)}` }]);
    expect(dumpOfStore(store).length).toBeLessThan(dumpOfGolden(name).length);
    await store.close();
  });

  test("an ancestor's log after one of our snapshots is dropped and kept in quarantine", async () => {
    const stranger = golden(SEVERAL).get(logName(7));
    if (stranger === undefined) throw new Error('the golden directory has log 7');
    const files = new Map(subject.files).set(logName(7), stranger);
    const fs = machineWith(files);
    const store = await openOn(fs, '/s', { recovery: 'salvage' });
    expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], subject.groups));
    expect(store.recovery.losses).toMatchObject([{ path: `/s/${logName(7)}`, fromOffset: 0 }]);
    await store.close();
  });
});
