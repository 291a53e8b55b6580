import { describe, expect, test } from 'vitest';
import { explain } from '../../src/cli/explain.ts';
import { salvage } from '../../src/cli/salvage.ts';
import { verify } from '../../src/cli/verify.ts';
import { encodeClaim, type Claim } from '../../src/format/claim.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import { Directory } from '../../src/fs/directory.ts';
import { CorruptionError, MetadataStore, type OpenOptions } from '../../src/index.ts';
import { LogTrail } from '../../src/inspection/log-trail.ts';
import { RecordSource } from '../../src/inspection/record-source.ts';
import { closeSource, readSource } from '../../src/store/backup/backup-source.ts';
import { readDirectoryContents } from '../../src/store/recovery/directory-state.ts';
import { ProgressMeter } from '../../src/store/recovery/progress-meter.ts';
import { CrashFs, openOn, type CrashFsOptions } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { runOn } from '../support/cli.ts';
import { Film } from '../support/film.ts';
import { decodeClaim } from '../support/independent-decoder-claim.ts';
import { storeFiles } from '../support/machine.ts';
import { logOf } from '../support/small-directory.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';

const LOCK = '/s/lodestore.lock';
const DATA = new Uint8Array(150).map((_, i) => i * i * 31);
const SIZES = { rotateBytes: 600, reserveBytes: 1024 };

type World = Map<string, Uint8Array>;

function openSmall(fs: CrashFs, options: OpenOptions = {}): Promise<MetadataStore> {
  return openStoreIn({ ...simulatedEnvironment(fs), sizes: SIZES }, '/s', {
    mergeBytes: 2 ** 40,
    ...options,
  });
}

async function insert(store: MetadataStore, from: number, to: number): Promise<void> {
  for (let key = from; key <= to; key++) {
    await store.insertBatch([{ type: 'put', key, value: 1, data: DATA }]);
  }
}

/** The files of a closed store by path: snapshot 1 of batches 1 to 4, then logs up to batch 15. */
async function closedWorld(options: OpenOptions = {}): Promise<World> {
  const fs = new CrashFs({ trace: false });
  await fs.makeDirectory('/s');
  const store = await openSmall(fs, options);
  await insert(store, 1, 4);
  await store.merge();
  await insert(store, 5, 15);
  await store.close();
  return new Map(fs.files());
}

function machineOf(world: World, options: CrashFsOptions = {}): CrashFs {
  return CrashFs.withFiles(Object.fromEntries(world), { trace: false, ...options });
}

const WORLD: World = await closedWorld();
const LAST: string = [...WORLD.keys()]
  .filter((path) => path.startsWith('/s/log_'))
  .sort()
  .at(-1)!;
const LAST_NUMBER: number = Number.parseInt(LAST.slice(-16), 16);
const LAST_BYTES: Uint8Array = WORLD.get(LAST)!;

/** The offsets of the frames of the last log, and the end of the last frame. */
function framesOf(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offsets = [128];
  for (let at = 128; at < bytes.length && bytes[at] === 0xb5;) {
    at += 48 + view.getUint32(at + 8, true);
    offsets.push(at);
  }
  return offsets;
}

const FRAMES: readonly number[] = framesOf(LAST_BYTES);
/** The number of groups: the last frame is the seal. */
const GROUPS: number = FRAMES.length - 2;
const FIRST_IN_LAST: bigint = 15n - BigInt(GROUPS) + 1n;

function cut(lengthBytes: number): World {
  return new Map(WORLD).set(LAST, LAST_BYTES.slice(0, lengthBytes));
}

function without(...paths: string[]): World {
  return new Map([...WORLD].filter(([path]) => !paths.includes(path)));
}

interface Loss {
  readonly what: string;
  readonly world: World;
  /** True: a directory has the name of the last log. */
  readonly isDirectory?: true;
  readonly path?: string;
  readonly first: bigint;
}

const LOGS: readonly string[] = [...WORLD.keys()].filter((path) => path.includes('/log_'));
const ZEROS: Uint8Array = new Uint8Array(LAST_BYTES.length);

const LOSSES: readonly Loss[] = [
  { what: 'cut within a frame', world: cut(FRAMES[GROUPS - 1]! + 60), first: 15n },
  { what: 'cut between frames', world: cut(FRAMES[GROUPS - 1]!), first: 15n },
  { what: 'cut to its first group', world: cut(FRAMES[1]!), first: FIRST_IN_LAST + 1n },
  { what: 'cut to its header', world: cut(128), first: FIRST_IN_LAST },
  { what: 'cut to nothing', world: cut(0), first: FIRST_IN_LAST },
  { what: 'filled with zeros', world: new Map(WORLD).set(LAST, ZEROS), first: FIRST_IN_LAST },
  { what: 'removed', world: without(LAST), first: FIRST_IN_LAST },
  { what: 'made a directory', world: without(LAST), isDirectory: true, first: FIRST_IN_LAST },
  { what: 'removed with all logs', world: without(...LOGS), first: 5n },
  {
    what: 'removed with all files but the lock',
    world: new Map([[LOCK, WORLD.get(LOCK)!]]),
    path: '/s',
    first: 1n,
  },
];

async function machineAfter(loss: Loss, options: CrashFsOptions = {}): Promise<CrashFs> {
  const fs = machineOf(loss.world, options);
  if (loss.isDirectory === true) await fs.makeDirectory(LAST);
  return fs;
}

const SIGNAL = new AbortController().signal;

/** Everything that reads a directory. */
const READERS: Record<string, (fs: CrashFs) => Promise<unknown>> = {
  open: (fs) => openSmall(fs),
  'open again': (fs) => openSmall(fs).catch(() => openSmall(fs)),
  'read-only open': (fs) => openOn(fs, '/s', { readOnly: true }),
  backup: async (fs) => {
    const hooks = { signal: SIGNAL, progress: new ProgressMeter(undefined) };
    await closeSource(await readSource(await Directory.open(fs, '/s'), hooks));
  },
  tail: async (fs) => {
    const trail = new LogTrail(fs, '/s', undefined);
    try {
      while ((await trail.next()) !== undefined);
    } finally {
      await trail.close();
    }
  },
  export: async (fs) => {
    const parts = { fs, directory: '/s', signal: SIGNAL, progress: new ProgressMeter(undefined) };
    await (await RecordSource.open(parts)).close();
  },
};

describe.each(LOSSES.map((loss) => [loss.what, loss] as const))(
  'the last log, %s',
  (_what, loss) => {
    const { path = LAST, first } = loss;

    test.each(Object.keys(READERS))(
      '%s: reports damage with the exact number of lost batches',
      async (reader) => {
        const fs = await machineAfter(loss);
        const before = storeFiles(fs);
        const error: unknown = await READERS[reader]!(fs).catch((caught: unknown) => caught);
        expect(error).toBeInstanceOf(CorruptionError);
        expect(error).toMatchObject({ path, firstSequence: first, lastSequence: 15n });
        const count = 15n - first + 1n;
        const text = count === 1n ? '1 batch, 15:' : `${count} batches, ${first} to 15:`;
        expect((error as CorruptionError).reason).toContain(text);
        expect(storeFiles(fs)).toEqual(before);
      },
    );

    test('explain and verify say what is missing', async () => {
      const fs = await machineAfter(loss);
      const found = await runOn(fs, (context) => explain(context, '/s', {}));
      expect(found.code).toBe(1);
      expect(found.out).toMatch(/It does not open/);
      expect(found.out).toContain(first === 15n ? '1 batch, 15:' : `${first} to 15:`);
      const verified = await runOn(fs, (context) => verify(context, '/s', {}));
      expect(verified.code).toBe(1);
      expect(verified.err).toContain('/s');
    });

    test('salvage into a new directory reports what was claimed', async () => {
      const fs = await machineAfter(loss);
      const { code, out } = await runOn(fs, (context) => salvage(context, '/s', '/t', {}));
      expect(code).toBe(1);
      const range =
        first === 15n ? 'the batch of sequence 15' : `batches from sequence ${first} to 15`;
      expect(out).toContain(range);
      if (path === '/s') expect(out).toContain('lodestore.lock records that');
      const store = await openOn(fs, '/t');
      expect(store.size).toBe(Number(first - 1n));
      expect(store.stats().lastSequence).toBeGreaterThan(15n);
      await store.close();
    });

    test('salvage keeps the rest, names the lost batches, and never reuses their numbers', async () => {
      const fs = await machineAfter(loss);
      const store = await openSmall(fs, { recovery: 'salvage' });
      expect(store.size).toBe(Number(first - 1n));
      expect(store.recovery.losses).toContainEqual(
        expect.objectContaining({ path, firstSequence: first, lastSequence: 15n }),
      );
      await insert(store, 100, 100);
      expect(store.stats().lastSequence).toBeGreaterThan(15n);
      await store.close();
      const again = await openSmall(fs);
      expect(again.size).toBe(Number(first));
      await again.close();
    });

    test('a crash at any sync of a salvage leaves a directory that does not open, or its result', async () => {
      const crashed: CrashFs[] = [];
      const onCrashPoint: CrashFsOptions['onCrashPoint'] = (point) => {
        for (const state of point.fs.crashStates({ cap: 8, seed: point.number })) {
          crashed.push(point.fs.materialise(state));
        }
      };
      const fs = await machineAfter(loss, { onCrashPoint });
      await (await openSmall(fs, { recovery: 'salvage' })).close();
      const opened: bigint[] = [];
      for (const machine of crashed) {
        const store = await openSmall(machine).catch((error: unknown) => error);
        if (store instanceof MetadataStore) {
          opened.push(store.stats().lastSequence);
          await store.close();
        } else expect(store).toBeInstanceOf(CorruptionError);
      }
      expect(opened.length).toBeGreaterThan(0);
      expect(opened.length).toBeLessThan(crashed.length);
      for (const lastSequence of opened) expect(lastSequence).toBeGreaterThan(15n);
    });
  },
);

test('a missing seal is damage without lost batches', async () => {
  const fs = machineOf(cut(FRAMES[GROUPS]!));
  await expect(openSmall(fs)).rejects.toMatchObject({
    path: LAST,
    firstSequence: undefined,
    reason: expect.stringContaining('no batch'),
  });
  const store = await openSmall(fs, { recovery: 'salvage' });
  expect(store.size).toBe(15);
  expect(store.stats().lastSequence).toBe(15n);
  await store.close();
});

test('an empty store whose files are removed is damage', async () => {
  const fs = new CrashFs({ trace: false });
  await fs.makeDirectory('/s');
  await (await openSmall(fs)).close();
  await fs.unlink(`/s/${snapshotName(0)}`);
  await expect(openSmall(fs)).rejects.toMatchObject({
    path: '/s',
    reason: expect.stringContaining('all files of the store are missing, and with them no batch'),
  });
  await fs.unlink(LOCK);
  await (await openSmall(fs)).close();
});

test('a follower of a store whose files are gone gets an error', async () => {
  const fs = machineOf(new Map([[LOCK, WORLD.get(LOCK)!]]));
  const trail = new LogTrail(fs, '/s', undefined);
  await expect(trail.next()).rejects.toBeInstanceOf(CorruptionError);
});

describe('a claim is satisfied by', () => {
  async function opens(world: World): Promise<void> {
    const store = await openSmall(machineOf(world));
    expect(store.size).toBe(15);
    await store.close();
  }

  const claim: Claim = decodeClaim(WORLD.get(LOCK)!)!;

  test('the log and the sequence that the store was closed with', () => {
    expect(claim).toEqual({
      storeId: Buffer.alloc(16, 0x5a),
      number: LAST_NUMBER,
      lengthBytes: FRAMES.at(-1),
      lastSequence: 15n,
    });
  });

  test('a later state: more in later logs, a merge, another close', async () => {
    const fs = machineOf(WORLD);
    const killed = await openSmall(fs);
    await insert(killed, 16, 30);
    const after = fs.kill();
    expect(decodeClaim(after.files().get(LOCK)!)!.number).toBeGreaterThan(LAST_NUMBER);
    const merged = await openSmall(after);
    expect(merged.size).toBe(30);
    await merged.merge();
    await merged.close();
    const again = await openSmall(after);
    expect(again.size).toBe(30);
    await again.close();
    const old = new Map(after.files()).set(LOCK, WORLD.get(LOCK)!);
    const under = await openSmall(machineOf(old));
    expect(under.size).toBe(30);
    await under.close();
  });

  test('its absence: no lock file, a directory in its place, both sectors torn, another store', async () => {
    await opens(without(LOCK));
    const bytes = WORLD.get(LOCK)!;
    await opens(new Map(WORLD).set(LOCK, bytes.slice(0, 4096)));
    await opens(new Map(WORLD).set(LOCK, bytes.slice().fill(0xa5, 4096)));
    const foreign = { ...claim, storeId: new Uint8Array(16).fill(1), number: 99 };
    const copied = bytes.slice();
    copied.set(encodeClaim(foreign, 99n, 0), 4096);
    copied.set(encodeClaim(foreign, 98n, 1), 4608);
    await opens(new Map(WORLD).set(LOCK, copied));
    const fs = machineOf(without(LOCK));
    await fs.makeDirectory(LOCK);
    const reader = await openOn(fs, '/s', { readOnly: true });
    expect(reader.size).toBe(15);
    await reader.close();
  });

  test('an owner record does not change the claim, and the other sector is written next', async () => {
    const fs = machineOf(cut(FRAMES[GROUPS - 1]!));
    const sectors = WORLD.get(LOCK)!.slice(4096);
    await expect(openSmall(fs)).rejects.toBeInstanceOf(CorruptionError);
    expect(fs.files().get(LOCK)!.slice(4096)).toEqual(sectors);
    const whole = machineOf(WORLD);
    const written: number[] = [];
    let before = sectors;
    for (const key of [16, 17, 18]) {
      const store = await openSmall(whole);
      await insert(store, key, key);
      await store.close();
      const after = whole.files().get(LOCK)!.slice(4096);
      const isChanged = [0, 512].map(
        (at) => Buffer.compare(before.subarray(at, at + 512), after.subarray(at, at + 512)) !== 0,
      );
      expect(isChanged.filter(Boolean)).toHaveLength(1);
      written.push(isChanged.indexOf(true));
      before = after;
    }
    expect(written[1]).toBe(1 - written[0]!);
    expect(written[2]).toBe(written[0]);
  });
});

test('salvage keeps the claimed store in the directory, not the one with more files', async () => {
  const storeId = new Uint8Array(16).fill(0x77);
  const world = new Map(WORLD);
  for (let number = 100; number < 100 + WORLD.size; number++) {
    const { bytes } = await logOf({ number, storeId, groups: [[[{ key: 1n, value: 1n }]]] });
    world.set(`/s/${logName(number)}`, bytes);
  }
  const store = await openOn(machineOf(world), '/s', { recovery: 'salvage' });
  expect(store.size).toBe(15);
  expect(store.recovery.losses).toEqual([]);
  expect(store.recovery.moved).toHaveLength(WORLD.size);
  await store.close();
});

test('a read-only store and a close with a failed sync write no claim', async () => {
  const fs = machineOf(WORLD);
  await (await openSmall(fs, { readOnly: true })).close();
  expect(fs.files().get(LOCK)).toEqual(WORLD.get(LOCK));
});

test('deferred batches are claimed when they are synced', async () => {
  const world = await closedWorld({ durability: { syncEveryMs: 1000 } });
  expect(decodeClaim(world.get(LOCK)!)).toMatchObject({ lastSequence: 15n });
});

test('a claim is read before the directory is listed, so the listing has what it names', async () => {
  const machine = new CrashFs({ trace: false });
  await machine.makeDirectory('/s');
  await (await openSmall(machine)).close();
  const film = new Film(machine);
  const environment = { ...simulatedEnvironment(film.camera), sizes: SIZES };
  const store = await openStoreIn(environment, '/s', { mergeBytes: 2 ** 40 });
  await insert(store, 1, 6);
  await store.merge();
  await insert(store, 7, 12);
  await store.close();
  const last = film.frames.length - 1;
  const claimed = new Set<number>();
  for (let begin = 0; begin <= last; begin++) {
    for (let call = 1; call < 6; call++) {
      const fs = film.project((one) => (one < call ? begin : last));
      const { claim, listing } = await readDirectoryContents(fs, '/s');
      claimed.add(claim!.number);
      const highest = Math.max(...listing.logs, ...listing.snapshots);
      expect(highest).toBeGreaterThanOrEqual(claim!.number);
    }
  }
  expect(claimed.size).toBeGreaterThan(2);
});
