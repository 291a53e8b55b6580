import { expect, test } from 'vitest';
import {
  StoreFullError,
  type MetadataStore,
  type OpenOptions,
  type SpaceFigures,
  type Update,
} from '../../src/index.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { randomWords } from '../support/random.ts';
import { ScarceDisk } from '../support/scarce-disk.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const RESERVE = '/s/lodestore.reserve';
const BALLAST = '/ballast';
const OPTIONS: OpenOptions = { reserveFileBytes: 2 * MIB, mergeBytes: 64 * MIB };

const word = randomWords(11);

/** A batch of records with incompressible data. */
function puts(key: number, count = 10): Update[] {
  return Array.from({ length: count }, (_, at) => {
    const words = Uint32Array.from({ length: 1_000 }, word);
    return { type: 'put', key: key + at, value: 7, data: new Uint8Array(words.buffer) };
  });
}

function sizeOf(fs: CrashFs, path: string): number | undefined {
  return fs.files().get(path)?.length;
}

/** Leaves `freeBytes` on the disk. */
async function takeAllBut(fs: CrashFs, freeBytes: number): Promise<void> {
  const file = await fs.open(BALLAST, 'wx');
  await file.truncate((await fs.freeBytes('/')) - freeBytes);
  await file.close();
}

async function outcome(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'applied',
    (error: unknown) => {
      expect(error).toBeInstanceOf(StoreFullError);
      return (error as StoreFullError).outcome!;
    },
  );
}

/** Delays the write of snapshots until `held` resolves. */
function holdingSnapshots(fs: CrashFs, held: Promise<void>): FileSystem {
  const open: FileSystem['open'] = async (path, mode) => {
    if (/1\.\w+\.tmp$/.test(path) && mode === 'wx') await held;
    return fs.open(path, mode);
  };
  return new Proxy(fs, {
    get: (target, name) => {
      if (name === 'open') return open;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

async function openWith(
  fs: FileSystem,
  options = OPTIONS,
): Promise<{ store: MetadataStore; events: string[] }> {
  const store = await openOn(fs, '/s', options);
  const events: string[] = [];
  store.on('lowSpace', ({ reserveFile }: SpaceFigures) => events.push(`low ${reserveFile}`));
  store.on('spaceRecovered', ({ reserveFile }: SpaceFigures) =>
    events.push(`recovered ${reserveFile}`),
  );
  await turns();
  return { store, events };
}

/** The background work of a simulated store is done after some turns of the event loop. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
}

/** Writes until the log lacks space. Returns the number of records. */
async function fill(store: MetadataStore): Promise<number> {
  for (let key = 0; ; key += 10) {
    if ((await outcome(store.insertBatch(puts(key)))) !== 'applied') return key;
    if (key > 100_000) throw new Error('the disk does not fill');
  }
}

test('the reserve is made in the background, kept across reopens, and not a foreign name', async () => {
  const fs = new CrashFs({ capacityBytes: 64 * MIB });
  const { store } = await openWith(fs);
  expect(store.stats().space.reserveFile).toBe('kept');
  expect(sizeOf(fs, RESERVE)).toBe(2 * MIB);
  await store.close();
  const writes = fs.trace.filter(({ kind, path }) => kind === 'write' && path === RESERVE).length;
  const again = await openWith(fs);
  expect(again.store.stats().space.reserveFile).toBe('kept');
  expect(again.store.recovery.foreignNames).toEqual([]);
  expect(fs.trace.filter(({ kind, path }) => kind === 'write' && path === RESERVE)).toHaveLength(
    writes,
  );
  await again.store.close();
  const other = await openWith(fs, { ...OPTIONS, reserveFileBytes: MIB });
  expect(sizeOf(fs, RESERVE)).toBe(MIB);
  await other.store.close();
  const without = await openWith(fs, {});
  expect(sizeOf(fs, RESERVE)).toBeUndefined();
  expect(without.store.stats().space.reserveFile).toBe('none');
  await without.store.close();
});

test("on a full disk, deletes use the reserve's space, and puts continue when there is space", async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const { store, events } = await openWith(fs);
  await takeAllBut(fs, MIB);
  const records = await fill(store);
  // A put without space leaves the reserve, which is for deletes and merges.
  expect(store.stats().space).toMatchObject({ state: 'full', putBytes: 0, reserveFile: 'kept' });
  // Nothing reserved ahead may be left for the deletes to use.
  const free = await fs.freeBytes('/');
  const more = await fs.open('/more', 'wx');
  await more.truncate(free);
  await more.close();
  for (let key = 0; key < 50; key++) {
    expect(await outcome(store.insertBatch([{ type: 'del', key }]))).toBe('applied');
  }
  expect(sizeOf(fs, RESERVE)).toBeUndefined();
  expect(store.stats().space).toMatchObject({ state: 'full', reserveFile: 'given-up' });
  expect(events).toEqual(['low kept']);
  expect(await outcome(store.insertBatch(puts(records)))).toBe('not-applied');
  expect(store.size).toBe(records - 50);
  await fs.unlink(BALLAST);
  expect(await outcome(store.insertBatch(puts(records)))).toBe('applied');
  await turns();
  expect(sizeOf(fs, RESERVE)).toBe(2 * MIB);
  expect(events).toEqual(['low kept', 'recovered kept']);
  await store.close();
  const again = await openOn(fs, '/s');
  expect(again.size).toBe(records - 50 + 10);
  await again.close();
});

test('in one group, puts are refused and deletes written, and conditions are judged again without the puts', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const { store } = await openWith(fs);
  await store.insertBatch([{ type: 'put', key: 1, value: 10 }]);
  await takeAllBut(fs, 0);
  fs.faults.add({ call: 'write', error: 'ENOSPC', path: /log_0*1$/ });
  const results = await Promise.all([
    outcome(store.insertBatch([{ type: 'put', key: 1, value: 11 }])),
    outcome(store.insertBatch([{ type: 'del', key: 2 }])),
    outcome(store.insertBatch([{ type: 'del', key: 1, ifValue: 10 }])),
  ]);
  expect(results).toEqual(['not-applied', 'applied', 'applied']);
  expect(store.has(1)).toBe(false);
  await store.close();
});

test.each([
  ['leaves the reserve', OPTIONS, 'kept'],
  ['is applied without a reserve too', {}, 'none'],
] as const)(
  'a batch without updates beside a put on a full disk %s',
  async (_what, options, reserveFile) => {
    const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
    const { store } = await openWith(fs, options);
    await store.insertBatch([{ type: 'put', key: 1, value: 10 }]);
    await takeAllBut(fs, 0);
    fs.faults.add({ call: 'write', error: 'ENOSPC', path: /log_0*1$/ });
    const results = await Promise.all([
      outcome(store.insertBatch([{ type: 'put', key: 1, value: 11 }])),
      outcome(store.sync()),
    ]);
    expect(results).toEqual(['not-applied', 'applied']);
    await turns();
    expect(store.stats().space.reserveFile).toBe(reserveFile);
    expect(store.valueOf(1)).toBe(10n);
    await store.close();
  },
);

test('a merge that lacks space borrows the reserve and gives it back', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const { store, events } = await openWith(fs);
  await store.insertBatch(puts(0, 100));
  for (let key = 0; key < 100; key++) {
    if (key % 10 > 0) await store.insertBatch([{ type: 'del', key }]);
  }
  await turns();
  await takeAllBut(fs, 80 * KIB);
  await store.merge();
  await turns();
  expect(store.size).toBe(10);
  expect(events[0]).toBe('low given-up');
  await fs.unlink(BALLAST);
  await store.insertBatch(puts(1_000));
  expect(store.stats().space).toMatchObject({ state: 'ample', reserveFile: 'kept' });
  expect(events).toEqual(['low given-up', 'recovered kept']);
  await store.close();
});

test('while a merge has the reserve, puts are refused and do not remake it', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  let goOn = (): void => undefined;
  const held = new Promise<void>((resolve) => (goOn = resolve));
  const options = { ...OPTIONS, reserveFileBytes: 512 * KIB };
  const { store } = await openWith(holdingSnapshots(fs, held), options);
  await store.insertBatch(puts(0, 200));
  await turns();
  // The records, which the merge writes uncompressed.
  const neededBytes = store.stats().logs.bytes;
  await takeAllBut(fs, neededBytes - 100 * KIB);
  const merge = store.merge();
  while (store.stats().space.reserveFile === 'kept') await new Promise(setImmediate);
  expect(store.stats().space.reserveFile).toBe('given-up');
  expect(await outcome(store.insertBatch(puts(1_000, 1)))).toBe('not-applied');
  expect(await outcome(store.insertBatch([{ type: 'del', key: 1 }]))).toBe('applied');
  goOn();
  await merge;
  await turns();
  expect(store.stats().space.reserveFile).toBe('kept');
  expect(await outcome(store.insertBatch(puts(1_000, 1)))).toBe('applied');
  await store.close();
});

test('a merge leaves the reserve if it would not help', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const { store } = await openWith(fs);
  await store.insertBatch(puts(0, 800));
  await turns();
  await takeAllBut(fs, 100 * KIB);
  await expect(store.merge()).rejects.toThrow(StoreFullError);
  expect(store.stats().space.reserveFile).toBe('kept');
  await store.close();
});

test('without space for it there is no reserve, and puts are accepted as without the option', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 4 * MIB });
  const { store } = await openWith(fs);
  expect(store.stats().space.reserveFile).toBe('absent');
  expect(await outcome(store.insertBatch(puts(0)))).toBe('applied');
  await store.close();
});

test('an open without the option removes the reserve of an earlier one if it can', async () => {
  for (const isStuck of [false, true]) {
    const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
    const { store } = await openWith(fs);
    await store.insertBatch(puts(0));
    await store.close();
    expect(sizeOf(fs, RESERVE)).toBe(2 * MIB);
    if (isStuck) fs.faults.add({ call: 'unlink', error: 'EIO', path: RESERVE, mode: 'sticky' });
    const plain = await openOn(fs, '/s');
    expect(sizeOf(fs, RESERVE)).toBe(isStuck ? 2 * MIB : undefined);
    expect(plain.size).toBe(10);
    await plain.close();
  }
});

test('a failure of the reserve is not a failure of the store', async () => {
  for (const call of ['write', 'dataSync', 'open', 'close', 'stat', 'unlink'] as const) {
    const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
    fs.faults.add({ call, error: 'EIO', path: RESERVE, mode: 'sticky' });
    const { store } = await openWith(fs);
    await store.insertBatch(puts(0));
    expect(store.stats().state, call).toBe('open');
    await store.close();
  }
});

test('a crash at any sync while the reserve is released and remade keeps every acknowledged batch', async () => {
  const options = { ...OPTIONS, reserveFileBytes: 256 * KIB };
  const crashes: { fs: CrashFs; acknowledged: number }[] = [];
  let acknowledged = 0;
  const fs = new CrashFs({
    trace: false,
    capacityBytes: 2 * MIB,
    onCrashPoint: ({ fs: machine }) => {
      crashes.push({ fs: machine.minimalCrash(), acknowledged });
      crashes.push({ fs: machine.kill(), acknowledged });
    },
  });
  const { store } = await openWith(fs, options);
  const records = 20;
  await store.insertBatch(puts(0, records));
  await turns();
  await takeAllBut(fs, 0);
  // Space reserved ahead in the log is used up first.
  fs.faults.add({ call: 'write', error: 'ENOSPC', path: /log_0*1$/ });
  crashes.length = 0;
  for (let key = 0; key < 10; key++) {
    await store.insertBatch([{ type: 'del', key }]);
    acknowledged = key + 1;
  }
  expect(store.stats().space.reserveFile).toBe('given-up');
  await fs.unlink(BALLAST);
  await store.merge();
  await turns();
  expect(store.stats().space.reserveFile).toBe('kept');
  expect(crashes.length).toBeGreaterThan(20);
  for (const crash of crashes) {
    const again = await openOn(crash.fs, '/s', options);
    const gone = records - again.size;
    expect([crash.acknowledged, crash.acknowledged + 1]).toContain(gone);
    await again.close();
  }
  await store.close();
});

test('without space for the lease, the reserve provides it, and deletes and a merge continue', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const { store } = await openWith(fs);
  await store.insertBatch(puts(0, 100));
  await store.close();
  await takeAllBut(fs, 0);
  fs.faults.add({ call: 'takeLease', error: 'ENOSPC' });
  const again = await openWith(fs);
  expect(sizeOf(fs, RESERVE)).toBeUndefined();
  const { space } = again.store.stats();
  expect(space).toMatchObject({ reserveFile: 'given-up', state: 'full', putBytes: 0 });
  expect(await outcome(again.store.insertBatch(puts(200)))).toBe('not-applied');
  for (let key = 0; key < 100; key++) {
    expect(await outcome(again.store.insertBatch([{ type: 'del', key }]))).toBe('applied');
  }
  await again.store.merge();
  expect(again.store.stats().merges.completed).toBeGreaterThan(0);
  await again.store.close();
  // The reserve's space is not available to puts after another open either.
  const third = await openWith(fs);
  expect(third.store.size).toBe(0);
  expect(third.store.stats().space.reserveFile).toBe('given-up');
  await fs.unlink(BALLAST);
  expect(await outcome(third.store.insertBatch(puts(0)))).toBe('applied');
  await turns();
  expect(third.store.stats().space).toMatchObject({ state: 'ample', reserveFile: 'kept' });
  await third.store.close();
});

test('an open without space and without a reserve fails and says so', async () => {
  const fs = new CrashFs({ trace: false });
  await (await openOn(fs, '/s')).close();
  fs.faults.add({ call: 'takeLease', error: 'ENOSPC' });
  await expect(openOn(fs, '/s')).rejects.toThrow(StoreFullError);
  await (await openOn(fs, '/s')).close();
});

test('without inodes, each file of the reserve provides one', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const { store } = await openWith(fs);
  await store.insertBatch(puts(0));
  await store.close();
  // One for the lease, one for the log of the delete, one for the snapshot.
  fs.faults.add({ call: 'takeLease', error: 'ENOSPC' });
  const again = await openOn(fs, '/s', OPTIONS);
  fs.faults.add({ call: 'open', error: 'ENOSPC', path: /log_0*2$/ });
  fs.faults.add({ call: 'open', error: 'ENOSPC', path: /\.tmp$/ });
  expect(await outcome(again.insertBatch([{ type: 'del', key: 1 }]))).toBe('applied');
  await again.merge();
  expect([again.size, again.stats().logs.bytes]).toEqual([9, 0]);
  await again.close();
});

test('an incomplete reserve is not kept: puts wait until the last inode is there', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const { store } = await openWith(fs);
  await store.insertBatch(puts(0, 100));
  await store.close();
  const disk = new ScarceDisk(fs, 'inodes', Infinity);
  const again = await openWith(disk.fileSystem);
  await disk.fill();
  // Each round releases files and remakes them, except for two whose inodes others have taken.
  again.store.once('merged', () => disk.takeInodes(2));
  for (let key = 0; key < 20; key++) {
    expect(await outcome(again.store.insertBatch([{ type: 'del', key }]))).toBe('applied');
    await again.store.merge();
    await turns();
    const names = [...disk.machine.files().keys()].filter((path) => path.startsWith(RESERVE));
    const expected = names.length === 4 ? 'kept' : 'given-up';
    expect(again.store.stats().space.reserveFile, names.join()).toBe(expected);
  }
  expect(again.store.stats().space.reserveFile).toBe('given-up');
  expect(await outcome(again.store.insertBatch(puts(500)))).toBe('not-applied');
  disk.giveInodes(8);
  expect(await outcome(again.store.insertBatch(puts(500)))).toBe('applied');
  await turns();
  expect(again.store.stats().space).toMatchObject({ state: 'ample', reserveFile: 'kept' });
  await again.store.close();
});

test("the lease of a dead process does not cause the reserve's release", async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const { store } = await openWith(fs);
  await store.insertBatch(puts(0));
  const machine = fs.kill({ trace: true });
  await (await openOn(machine, '/s', OPTIONS)).close();
  expect(machine.trace.some(({ kind }) => kind === 'breakLease')).toBe(true);
  expect(
    machine.trace.filter(({ kind, path }) => kind === 'unlink' && path.startsWith(RESERVE)),
  ).toEqual([]);
  await store.close();
});
