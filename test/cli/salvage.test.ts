import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explain } from '../../src/cli/explain.ts';
import { inspect } from '../../src/cli/inspect.ts';
import { salvage } from '../../src/cli/salvage.ts';
import { logName } from '../../src/format/file-name.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore, PositionExpiredError } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { systemFailure } from '../support/backup.ts';
import { fingerprint, runCli, runOn } from '../support/cli.ts';
import { dumpOfSubject, SNAPSHOT } from '../support/damage-subject.ts';
import { DAMAGE_ROWS, subject } from '../support/damage-table.ts';
import { dumpOfStore } from '../support/dump.ts';
import { filesIn, machineWith } from '../support/machine.ts';
import { nth } from '../support/nth.ts';
import { logOf } from '../support/small-directory.ts';
import { closedStore, flipByte, namesIn } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe.each(DAMAGE_ROWS.map((row) => [row.what, row] as const))('%s', (_what, row) => {
  test('writes a new store with all valid data, names the losses, and leaves the source unchanged', async () => {
    const files = await row.damage(subject);
    const fs = machineWith(files);
    const before = fs.files();
    const { code, out, err } = await runOn(fs, (context) =>
      salvage(context, '/s', '/t', { json: true }),
    );
    expect([code, err]).toEqual([row.losses(subject).length === 0 ? 0 : 1, '']);
    const after = fs.files();
    for (const [path, bytes] of before) expect(after.get(path)).toEqual(bytes);
    expect([...after.keys()].filter((path) => !path.startsWith('/t/'))).toEqual([...before.keys()]);
    const report = JSON.parse(out) as {
      readonly records: number;
      readonly moved: readonly { readonly from: string; readonly to: string | null }[];
      readonly losses: readonly Readonly<Record<string, unknown>>[];
    };
    const moved = report.moved.map(({ from, to }) => [from, to ?? 'quarantine']);
    expect(Object.fromEntries(moved)).toEqual(row.moved ?? {});
    const expected = row.losses(subject).map(({ name, ...loss }) => ({
      path: `/s/${name}`,
      fromOffset: loss.fromOffset,
      toOffset: loss.toOffset,
      firstSequence: loss.firstSequence?.toString() ?? null,
      lastSequence: loss.lastSequence?.toString() ?? null,
      firstKey: loss.firstKey?.toString() ?? null,
      lastKey: loss.lastKey?.toString() ?? null,
      olderValuesMayShow: loss.olderValuesMayShow ?? false,
    }));
    expect(report.losses).toMatchObject(expected);
    const text = new TextDecoder().decode(after.get('/t/SALVAGE.json'));
    expect(JSON.parse(text)).toEqual(report);
    const store = await openOn(fs.minimalCrash(), '/t');
    const dump = dumpOfStore(store);
    expect(dump).toBe(
      dumpOfSubject(
        [0, 1, 2].filter((index) => row.goneChunks?.includes(index) !== true),
        subject.groups.filter((_group, index) => row.goneGroups?.includes(index) !== true),
      ),
    );
    expect(report.records).toBe(store.size);
    await store.insertBatch([{ type: 'put', key: 1, value: 1 }]);
    await store.close();
  });
});

/** Passes calls on until the power fails at call `last`. */
function failingAfter(fs: CrashFs, last: number): { fs: FileSystem; calls: () => number } {
  let calls = 0;
  const handler: ProxyHandler<CrashFs> = {
    get: (target, name: keyof CrashFs) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...given: unknown[]): unknown => {
        if (++calls === last) target.powerOff();
        return (member as (...all: unknown[]) => unknown).apply(target, given);
      };
    },
  };
  return { fs: new Proxy(fs, handler), calls: () => calls };
}

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

test('a power failure at any call leaves the source unchanged and the target whole or unopenable', async () => {
  const files = await nth(DAMAGE_ROWS, 4).damage(subject);
  const whole = machineWith(files);
  await runOn(whole, (context) => salvage(context, '/s', '/t', {}));
  const store = await openOn(whole, '/t');
  const dump = dumpOfStore(store);
  await store.close();
  const counted = failingAfter(machineWith(files), Infinity);
  await runOn(counted.fs, (context) => salvage(context, '/s', '/t', {}));
  let opened = 0;
  for (let last = 1; last <= counted.calls(); last++) {
    const machine = machineWith(files);
    const { fs } = failingAfter(machine, last);
    await runOn(fs, (context) => salvage(context, '/s', '/t', {})).catch(() => undefined);
    for (const after of [
      machine.minimalCrash(),
      machine.kill(),
      ...SEEDS.map((seed) => machine.randomCrash(seed)),
    ]) {
      const source = [...after.files()].filter(([path]) => path.startsWith('/s/'));
      expect(new Map(source.map(([path, bytes]) => [path.slice(3), bytes]))).toEqual(files);
      const target = await openOn(after, '/t', { createIfMissing: false }).catch(
        (error: unknown) => error,
      );
      if (target instanceof MetadataStore) {
        expect(dumpOfStore(target), `call ${last}`).toBe(dump);
        await target.close();
        opened++;
      } else {
        expect(target).toMatchObject({
          code: expect.stringMatching(/^LODESTORE_(INCOMPLETE|NOT_FOUND)$/),
        });
      }
    }
  }
  expect(counted.calls()).toBeGreaterThan(20);
  expect(opened).toBeLessThan(50);
});

test('an interrupted salvage removes its target', async () => {
  const directory = await closedStore();
  const target = join(await temporaryDirectory(), 'target');
  const controller = new AbortController();
  controller.abort();
  const { code, err } = await runCli(['salvage', directory, target], controller.signal);
  expect(code).toBe(130);
  expect(err).toContain('interrupted');
  await expect(readFile(target)).rejects.toMatchObject({ code: 'ENOENT' });
});

/** Runs `before` before each file is created in a target. */
function creatingAfter(before: (name: string) => Promise<void>): FileSystem {
  const fs = Object.create(nodeFileSystem) as FileSystem & { open: FileSystem['open'] };
  fs.open = async (path, mode) => {
    if (mode === 'wx') await before(basename(path));
    return nodeFileSystem.open(path, mode);
  };
  return fs;
}

describe('a failed salvage removes only what it has written', () => {
  test.each([
    ['a file that was put there', 'mine'],
    ['a snapshot that another program created', 'snapshot_0000000000000000'],
  ])('%s stays', async (_what, theirs) => {
    const directory = await closedStore();
    const target = join(await temporaryDirectory(), 'target');
    const fs = creatingAfter(async (name) => {
      if (name === 'DO_NOT_PUT_YOUR_FILES_HERE') await writeFile(join(target, theirs), 'theirs');
      if (name === 'SALVAGE.json') throw systemFailure('EIO', name);
    });
    const running = runOn(fs, (context) => salvage(context, directory, target, {}));
    await expect(running).rejects.toMatchObject({ code: expect.stringMatching(/EIO|EEXIST/) });
    expect(await readdir(target)).toEqual([theirs]);
    expect(await readFile(join(target, theirs), 'utf8')).toBe('theirs');
  });

  test('a file that was put there before the marker is noticed, and stays', async () => {
    const directory = await closedStore();
    const target = join(await temporaryDirectory(), 'target');
    const fs = creatingAfter(async (name) => {
      if (name === 'lodestore.incomplete') await writeFile(join(target, 'mine'), 'theirs');
    });
    const running = runOn(fs, (context) => salvage(context, directory, target, {}));
    await expect(running).rejects.toMatchObject({
      name: 'UsageError',
      message: expect.stringContaining('other files'),
    });
    expect(await readdir(target)).toEqual(['mine']);
  });
});

test('the salvaged store refuses a position of the damaged one, because its history differs', async () => {
  const directory = await closedStore();
  const [log] = (await readdir(directory)).filter((name) => name.startsWith('log_')).sort();
  const bytes = await readFile(join(directory, log!));
  bytes[150]! ^= 0xff;
  await writeFile(join(directory, log!), bytes);
  const target = join(await temporaryDirectory(), 'target');
  expect((await runCli(['salvage', directory, target])).code).toBe(1);
  await using store = await MetadataStore.open(target);
  const { lastSequence } = store.stats();
  expect(lastSequence).toBeGreaterThan(2n ** 40n);
  const report = JSON.parse(await readFile(join(target, 'SALVAGE.json'), 'utf8')) as object;
  expect(report).toMatchObject({ lastSequence: lastSequence.toString() });
  const follow = async (): Promise<void> => {
    for await (const change of store.changes({ after: 300n }))
      throw new Error(`${change.sequence}`);
  };
  await expect(follow()).rejects.toBeInstanceOf(PositionExpiredError);
});

test('a sound store is copied completely, with exit code 0', async () => {
  const directory = await closedStore();
  const before = await fingerprint(directory);
  const target = join(await temporaryDirectory(), 'target');
  const { code, out } = await runCli(['salvage', directory, target]);
  expect(code).toBe(0);
  expect(out).toContain('Wrote 3,000 records');
  expect(out).toContain('Nothing is lost');
  expect(await fingerprint(directory)).toEqual(before);
  const dumps = await Promise.all([directory, target].map((one) => runCli(['dump', one])));
  expect(nth(dumps, 1).out).toBe(nth(dumps, 0).out);
  const sequences = await Promise.all(
    [directory, target].map(async (one) => {
      const store = await MetadataStore.open(one, { readOnly: true });
      await store.close();
      return store.recovery.lastSequence;
    }),
  );
  expect(sequences).toEqual([300n, 300n]);
});

test('the names of an existing target and its parents are durable', async () => {
  const fs = machineWith(subject.files);
  for (const path of ['/new', '/new/t']) await fs.makeDirectory(path);
  const { code } = await runOn(fs, (context) => salvage(context, '/s', '/new/t', {}));
  expect(code).toBe(0);
  const store = await openOn(fs.minimalCrash(), '/new/t', { createIfMissing: false });
  expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], subject.groups));
  await store.close();
});

test('an open store is refused with its owner; a closed one is locked meanwhile', async () => {
  const directory = await closedStore();
  const store = await MetadataStore.open(directory);
  const target = join(await temporaryDirectory(), 'target');
  const refused = await runCli(['salvage', directory, target]);
  expect(refused.code).toBe(3);
  expect(refused.err).toContain(`process ${process.pid} on host `);
  await store.close();
  expect((await runCli(['salvage', directory, target])).code).toBe(0);
  // It was released again.
  await (await MetadataStore.open(directory)).close();
});

test('targets that exist or lie in the source are refused', async () => {
  const directory = await closedStore();
  const other = await temporaryDirectory();
  await writeFile(join(other, 'file'), 'mine');
  await symlink(directory, join(other, 'link'));
  for (const target of [
    other,
    join(other, 'link', 'sub'),
    join(other, 'file'),
    directory,
    join(directory, 'sub'),
    join(directory, '..'),
  ]) {
    const { code, out } = await runCli(['salvage', directory, target]);
    expect([code, out]).toEqual([2, '']);
  }
  expect(await readFile(join(other, 'file'), 'utf8')).toBe('mine');
  const empty = join(other, 'empty');
  await mkdir(empty);
  expect((await runCli(['salvage', directory, empty])).code).toBe(0);
});

test('--skip-unreadable leaves out a log that gives EIO, and reports it', async () => {
  const fs = machineWith(subject.files);
  fs.faults.add({ call: 'open', path: '/s/log_0000000000000005', mode: 'sticky' });
  await expect(runOn(fs, (context) => salvage(context, '/s', '/t', {}))).rejects.toMatchObject({
    code: 'EIO',
  });
  expect([...fs.files().keys()].filter((path) => path.startsWith('/t'))).toEqual([]);
  const { code, out } = await runOn(fs, (context) =>
    salvage(context, '/s', '/t', { skipUnreadable: true }),
  );
  expect(code).toBe(1);
  expect(out).toContain('left out, it could not be read: /s/log_0000000000000005');
  const store = await openOn(fs, '/t');
  expect(dumpOfStore(store)).toBe(
    dumpOfSubject(
      [0, 1, 2],
      subject.groups.filter((group) => group.log !== 5),
    ),
  );
  await store.close();
});

test('an unreadable leftover hides no other file, and --skip-unreadable leaves it out', async () => {
  const path = `/s/${logName(2)}`;
  const { bytes } = await logOf({ number: 2, groups: [[[{ key: 1n, value: 1n }]]] });
  const fs = machineWith(new Map(subject.files).set(logName(2), bytes));
  fs.faults.add({ call: 'open', path, mode: 'sticky' });
  const shown = await runOn(fs, (context) => inspect(context, '/s', {}));
  expect([shown.code, shown.err]).toEqual([4, expect.stringContaining(`EIO at ${path}`)]);
  expect(shown.out).toMatch(/^log_0{15}4 .* sealed$/m);
  await expect(openOn(fs, '/s')).rejects.toMatchObject({ code: 'LODESTORE_IO' });
  const { code, out } = await runOn(fs, (context) =>
    salvage(context, '/s', '/t', { skipUnreadable: true }),
  );
  expect([code, out]).toEqual([1, expect.stringContaining('No record is lost: none depends on')]);
  const store = await openOn(fs, '/t');
  expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], subject.groups));
  await store.close();
});

test('--skip-unreadable leaves out a copy of a log that gives EIO', async () => {
  const name = logName(5);
  const copy = `${name}.bak`;
  const fs = machineWith(new Map(subject.files).set(copy, subject.files.get(name)!));
  // The header can be read.
  fs.faults.add({ call: 'read', path: `/s/${copy}`, nth: 2, mode: 'sticky' });
  const { code, out } = await runOn(fs, (context) =>
    salvage(context, '/s', '/t', { json: true, skipUnreadable: true }),
  );
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ skipped: [copy], losses: [], moved: [] });
});

test.each(['EMFILE', 'EACCES'] as const)(
  '--skip-unreadable gives up no file for %s, which may pass',
  async (error) => {
    const fs = machineWith(subject.files);
    fs.faults.add({ call: 'open', path: `/s/${logName(5)}`, mode: 'sticky', error });
    await expect(
      runOn(fs, (context) => salvage(context, '/s', '/t', { skipUnreadable: true })),
    ).rejects.toMatchObject({ code: error });
    expect([...fs.files().keys()].filter((path) => path.startsWith('/t'))).toEqual([]);
  },
);

test('a store of which only a copy under a foreign name is left is found', async () => {
  const files = new Map([[`${SNAPSHOT}.bak`, subject.files.get(SNAPSHOT)!]]);
  const fs = machineWith(files);
  const explained = await runOn(fs, (context) => explain(context, '/s', {}));
  expect(explained.code).toBe(4);
  expect(explained.out).toContain(`these are logs or snapshots: ${SNAPSHOT}.bak.`);
  expect(explained.out).toContain('Next: lodestore salvage /s /s-salvaged');
  const { code } = await runOn(fs, (context) => salvage(context, '/s', '/t', {}));
  expect(code).toBe(0);
  const store = await openOn(fs, '/t');
  expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], []));
  await store.close();
});

test.each(['EPERM', 'EOPNOTSUPP', 'EACCES', 'EROFS'] as const)(
  'a lock file that cannot be locked, %s, does not keep salvage from a closed store',
  async (error) => {
    const fs = machineWith(new Map(subject.files).set('lodestore.lock', new Uint8Array(0)));
    fs.faults.add({ call: 'tryLock', mode: 'sticky', error });
    expect((await runOn(fs, (context) => salvage(context, '/s', '/t', {}))).code).toBe(0);
  },
);

test('explain reads again if a file is removed while it reads', async () => {
  const directory = await closedStore();
  await flipByte(directory, nth(await namesIn(directory, 'log_'), 0), 300);
  const name = nth(await namesIn(directory, 'log_'), 2);
  for (const opening of [1, 2, 3, 4, 5, 6]) {
    const fs = machineWith(filesIn(directory));
    fs.faults.add({ call: 'open', path: `/s/${name}`, nth: opening, error: 'ENOENT' });
    const { code, out } = await runOn(fs, (context) => explain(context, '/s', {}));
    expect(code, `opening ${opening}`).toBe(1);
    expect(out).toContain('It does not open: 1 place in its files is damaged');
  }
});

test('damage is printed as text', async () => {
  const directory = await closedStore();
  const name = nth(await namesIn(directory, 'snapshot_'), 0);
  await flipByte(directory, name, 300);
  const target = join(await temporaryDirectory(), 'target');
  const { code, out } = await runCli(['salvage', directory, target]);
  expect(code).toBe(1);
  expect(out).toMatch(/^Wrote 2,800 records/);
  expect(out).toContain('Lost, in 1 place:');
  expect(out).toContain('keys 0 to 199');
});
