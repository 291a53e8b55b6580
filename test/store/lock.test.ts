import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { expect, onTestFinished, test, vi } from 'vitest';
import { encodeOwnerRecord, type OwnerRecord } from '../../src/directory/owner-record.ts';
import type { FileLock, FileSystem, Lease, LeaseOptions } from '../../src/fs/file-system.ts';
import { takeLease } from '../../src/fs/lease.ts';
import { systemLeaseClock } from '../../src/fs/lease-clock.ts';
import { NodeFileSystem } from '../../src/fs/node-file-system.ts';
import { readProcessIdentity, type ProcessIdentity } from '../../src/fs/process-identity.ts';
import { FencedError, MetadataStore, StoreLockedError, type OpenOptions } from '../../src/index.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';
import { present } from '../../src/base/assert.ts';
import { programPath } from '../support/program.ts';
import { StoreProcess, type StoreLine } from '../support/store-process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';

vi.mock('../../src/base/timers.ts', async (original) => {
  const { fakeable } = await import('../support/fakeable-timers.ts');
  return { ...fakeable(await original()), wallMs: () => Date.now() };
});

const identity = await readProcessIdentity();

/** Longer than any test can wait. */
const HUGE_STALE_MS = 3_600_000;
const SHORT_STALE_MS = 2_000;

async function newDirectory(): Promise<string> {
  return join(await temporaryDirectory(), 'store');
}

function leaseOf(directory: string): string {
  return join(directory, 'lodestore.lease');
}

function put(key: number): { type: 'put'; key: number; value: number }[] {
  return [{ type: 'put', key, value: key + 1 }];
}

function keysOf(store: MetadataStore): number[] {
  return [...store.keys()].map(Number);
}

/** Opens on the real file system, with the given overrides. */
function openAs(
  directory: string,
  options: OpenOptions,
  parts: { readonly fileSystem?: FileSystem; readonly identity?: ProcessIdentity },
): Promise<MetadataStore> {
  const fileSystem = parts.fileSystem ?? new NodeFileSystem();
  return openStoreIn(
    {
      fileSystem,
      makeRunner: (held) => new InlineRunner(held),
      pause: () => Promise.resolve(),
      sliceMs: 0,
      identity: () => Promise.resolve(parts.identity ?? identity),
      randomBytes: (lengthBytes) => new Uint8Array(lengthBytes).fill(1),
    },
    directory,
    options,
  );
}

async function refusalOf(attempt: Promise<MetadataStore>): Promise<StoreLockedError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StoreLockedError)) throw new Error('not refused', { cause: error });
  return error;
}

/** A store with key 1 whose process died, with its lease and with this owner record. */
async function abandoned(owner: Partial<OwnerRecord>, leaseAgeMs: number): Promise<string> {
  const directory = await newDirectory();
  const store = await MetadataStore.open(directory);
  await store.insertBatch(put(1));
  await store.close();
  const record = { ...identity, nonce: 'n', openedAtMs: 1_700_000_000_000, epoch: 1, ...owner };
  writeFileSync(join(directory, 'lodestore.lock'), encodeOwnerRecord(record));
  mkdirSync(leaseOf(directory));
  const seconds = (Date.now() - leaseAgeMs) / 1000;
  utimesSync(leaseOf(directory), seconds, seconds);
  return directory;
}

const ELSEWHERE = { pid: 4_000_000, hostName: 'elsewhere', bootId: 'b', machineId: 'm' };

/** Opens all at once, and the refused ones again when there is a winner. Returns the winner. */
async function race(
  racers: readonly StoreProcess[],
  paths: readonly string[],
): Promise<StoreProcess> {
  const open = (racer: StoreProcess, i: number): Promise<StoreLine> =>
    racer.ask('open', present(paths[i % paths.length], 'there is a path'), HUGE_STALE_MS);
  const lines = await Promise.all(racers.map(open));
  const winners = racers.filter((_, i) => lines[i]?.opened !== undefined);
  expect(winners).toHaveLength(1);
  const winner = present(winners[0], 'there is one winner');
  const losers = racers.filter((racer) => racer !== winner);
  // Before the winner has written its record, readers see the preceding owner.
  for (const line of await Promise.all(losers.map(open))) {
    expect(line.ownerPid).toBe(winner.pid);
    expect(line.refused).toContain(`is open in process ${winner.pid} on host`);
  }
  return winner;
}

test('one of concurrent processes wins, and the others name it; after its kill, the next one opens at once', async () => {
  const directory = await newDirectory();
  const link = `${directory}-link`;
  symlinkSync(directory, link);
  let racers = await Promise.all(Array.from({ length: 20 }, () => StoreProcess.start()));
  const acknowledged: number[] = [];
  for (const count of [20, 2, 2, 2]) {
    // The first one creates the directory; nobody can open a link to nothing.
    const paths = count === 20 ? [directory] : [directory, link];
    const winner = await race(racers.slice(0, count), paths);
    // Everything acknowledged to earlier winners is there, although they were killed at once.
    expect((await winner.ask('read')).keys).toEqual(acknowledged);
    const key = acknowledged.length;
    expect(await winner.ask('write', key)).toEqual({ acknowledged: key });
    acknowledged.push(key);
    await winner.kill();
    expect(existsSync(leaseOf(directory))).toBe(true);
    racers = racers.filter((racer) => racer !== winner);
  }
  const store = await MetadataStore.open(directory, { leaseStaleMs: HUGE_STALE_MS });
  expect(keysOf(store)).toEqual(acknowledged);
  await store.close();
});

test('an owner stopped for longer than its lease keeps everybody out and continues afterwards', async () => {
  const directory = await newDirectory();
  const owner = await StoreProcess.start();
  await owner.ask('open', directory, SHORT_STALE_MS);
  expect(await owner.ask('write', 1)).toEqual({ acknowledged: 1 });
  owner.signal('SIGSTOP');
  const leftAtMs = performance.now();
  do {
    const { owner: named } = await refusalOf(MetadataStore.open(directory));
    expect(named.pid).toBe(owner.pid);
  } while (performance.now() - leftAtMs < SHORT_STALE_MS + 500);
  owner.signal('SIGCONT');
  expect(await owner.ask('write', 2)).toEqual({ acknowledged: 2 });
  expect((await owner.ask('read')).keys).toEqual([1, 2]);
  expect((await refusalOf(MetadataStore.open(directory))).owner.pid).toBe(owner.pid);
  expect(await owner.ask('close')).toEqual({ closed: true });
  expect(owner.poisoned).toBeUndefined();
  const store = await MetadataStore.open(directory);
  expect(keysOf(store)).toEqual([1, 2]);
  await store.close();
});

/** Another host, which does not see this host's kernel locks. */
class OtherHost extends NodeFileSystem {
  override tryLock(path: string): Promise<FileLock | undefined> {
    return super.tryLock(`${path}.elsewhere`).then(async (lock) => {
      if (lock === undefined) return undefined;
      const file = await super.open(path, 'r+');
      return {
        writeRecord: async (record) => {
          await file.write(record, 0);
        },
        writeClaim: async (sector, position) => {
          await file.write(sector, position);
        },
        writeNote: async (sector, position) => {
          await file.write(sector, position);
        },
        release: async () => {
          await file.close();
          await lock.release();
        },
      };
    });
  }
}

test.each([
  ['still has the store', 'open'],
  ['has closed it again', 'closed'],
])('a stopped owner goes on: another host %s, and loses nothing to it', async (_, now) => {
  const directory = await newDirectory();
  const owner = await StoreProcess.start();
  await owner.ask('open', directory, SHORT_STALE_MS);
  await owner.ask('write', 1);
  const there = { fileSystem: new OtherHost(), identity: { ...identity, ...ELSEWHERE } };
  const options = { leaseStaleMs: SHORT_STALE_MS };
  expect((await refusalOf(openAs(directory, options, there))).owner.pid).toBe(owner.pid);
  owner.signal('SIGSTOP');
  const other = await vi.waitFor(() => openAs(directory, options, there), {
    timeout: 20_000,
    interval: 100,
  });
  expect(keysOf(other)).toEqual([1]);
  await other.insertBatch(put(2));
  // After a host has opened and closed, the lease looks as if nobody had held it.
  if (now === 'closed') await other.close();
  owner.signal('SIGCONT');
  expect(await owner.ask('write', 3)).toMatchObject({ isFenced: true, outcome: 'not-applied' });
  await owner.ask('close');
  // The lease belongs to its current holder.
  if (now === 'open') {
    await other.insertBatch(put(4));
    await other.close();
  }
  const store = await MetadataStore.open(directory);
  expect(keysOf(store)).toEqual(now === 'open' ? [1, 2, 4] : [1, 2]);
  await store.close();
});

const ATTACKS: readonly (readonly [string, (lease: string) => void])[] = [
  ['removed', (lease) => rmdirSync(lease)],
  ['touched', (lease) => utimesSync(lease, 1_700_000_000, 1_700_000_000)],
  [
    'replaced',
    (lease) => {
      rmdirSync(lease);
      mkdirSync(lease);
    },
  ],
  [
    'replaced by a file',
    (lease) => {
      rmdirSync(lease);
      writeFileSync(lease, 'mine');
    },
  ],
];

async function checkFenced(name: string, attack: (lease: string) => void): Promise<void> {
  const directory = await newDirectory();
  const store = await MetadataStore.open(directory, { leaseStaleMs: SHORT_STALE_MS });
  await store.insertBatch(put(1));
  const poisoned = once(store, 'poisoned');
  attack(leaseOf(directory));
  const [error] = (await poisoned) as [unknown];
  expect(error).toBeInstanceOf(FencedError);
  const rejected = { name: 'FencedError', code: 'LODESTORE_FENCED', outcome: 'not-applied' };
  await expect(store.insertBatch(put(2))).rejects.toMatchObject(rejected);
  await expect(store.merge()).rejects.toMatchObject({ code: 'LODESTORE_FENCED' });
  expect(store.get(1)?.value).toBe(2n);
  expect((await refusalOf(MetadataStore.open(directory))).owner.pid).toBe(process.pid);
  await store.close();
  if (name === 'replaced by a file') {
    // Nobody holds this object: it is in the way until somebody removes it.
    await expect(MetadataStore.open(directory)).rejects.toMatchObject({ path: expect.any(String) });
    return;
  }
  const again = await MetadataStore.open(directory);
  expect(keysOf(again)).toEqual([1]);
  await again.insertBatch(put(2));
  await again.close();
}

test('a lease removed, touched or replaced by somebody else fences the store', async () => {
  const checks = ATTACKS.map(([name, attack]) => checkFenced(name, attack));
  await expect(Promise.all(checks)).resolves.toHaveLength(ATTACKS.length);
});

test('an owner of unknown host refuses with a fresh lease and is replaced with an old one', async () => {
  const fresh = await abandoned(ELSEWHERE, 0);
  const { owner, message } = await refusalOf(MetadataStore.open(fresh));
  expect(owner).toMatchObject({ pid: 4_000_000, hostName: 'elsewhere' });
  expect(message).toContain('keeps its lease fresh');
  const reader = await MetadataStore.open(fresh, { readOnly: true });
  expect(keysOf(reader)).toEqual([1]);
  await reader.close();
  const old = await abandoned(ELSEWHERE, 120_000);
  const store = await MetadataStore.open(old);
  expect(keysOf(store)).toEqual([1]);
  await store.insertBatch(put(2));
  await store.close();
});

test('the lease of an earlier boot of this machine is taken over at once', async () => {
  const directory = await abandoned({ bootId: 'an earlier boot', pid: process.pid }, 0);
  const store = await MetadataStore.open(directory, { leaseStaleMs: HUGE_STALE_MS });
  expect(keysOf(store)).toEqual([1]);
  await store.close();
});

test.each([3_600_000, -3_600_000])(
  'a clock set by %d ms neither fences the owner nor lets anybody in',
  async (byMs) => {
    const directory = await newDirectory();
    const store = await MetadataStore.open(directory, { leaseStaleMs: SHORT_STALE_MS });
    await store.insertBatch(put(1));
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + byMs });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    // A refresh with the new time has succeeded.
    await vi.waitFor(
      async () => {
        const { mtimeMs } = await stat(leaseOf(directory));
        expect(Math.abs(mtimeMs - Date.now())).toBeLessThan(60_000);
      },
      { timeout: 20_000, interval: 50 },
    );
    await store.insertBatch(put(2));
    expect((await refusalOf(MetadataStore.open(directory))).owner.pid).toBe(process.pid);
    await store.close();
    vi.useRealTimers();
    const again = await MetadataStore.open(directory);
    expect(keysOf(again)).toEqual([1, 2]);
    await again.close();
  },
);

/** A machine that can sleep: its uptime continues meanwhile, its monotonic clock stops. */
class SleepyMachine extends NodeFileSystem {
  asleepMs = 0;

  override takeLease(path: string, options: LeaseOptions): Promise<Lease> {
    return takeLease(path, options, () => {
      const { monotonicMs, uptimeMs } = systemLeaseClock();
      return { monotonicMs, uptimeMs: uptimeMs + this.asleepMs };
    });
  }
}

test('a machine that slept for longer than the lease continues when it wakes', async () => {
  const directory = await newDirectory();
  const fileSystem = new SleepyMachine();
  const store = await openAs(directory, { leaseStaleMs: HUGE_STALE_MS }, { fileSystem });
  await store.insertBatch(put(1));
  fileSystem.asleepMs = HUGE_STALE_MS - 60_000;
  await store.insertBatch(put(2));
  fileSystem.asleepMs = HUGE_STALE_MS + 1;
  const { mtimeMs } = await stat(leaseOf(directory));
  await store.insertBatch(put(3));
  expect((await stat(leaseOf(directory))).mtimeMs).not.toBe(mtimeMs);
  expect(keysOf(store)).toEqual([1, 2, 3]);
  await store.close();
  const again = await MetadataStore.open(directory);
  expect(keysOf(again)).toEqual([1, 2, 3]);
  await again.close();
});

test('one of two threads that open at once wins, and its termination leaves the store free', async () => {
  const directory = await newDirectory();
  const threads = Array.from({ length: 2 }, () => {
    const { port1, port2 } = new MessageChannel();
    const thread = new Worker(programPath('store-thread'), {
      workerData: { directory, port: port2 },
      transferList: [port2],
    });
    onTestFinished(async () => {
      await thread.terminate();
      port1.close();
    });
    return { thread, heard: once(port1, 'message') };
  });
  const said = await Promise.all(threads.map(async ({ heard }) => ((await heard) as [string])[0]));
  const losers = said.filter((text) => text !== 'opened');
  expect(losers).toHaveLength(1);
  for (const text of losers) expect(text).toContain(`this process (${process.pid})`);
  expect((await refusalOf(MetadataStore.open(directory))).owner.pid).toBe(process.pid);
  for (const { thread } of threads) await thread.terminate();
  const store = await MetadataStore.open(directory);
  expect(keysOf(store)).toEqual([1]);
  await store.close();
});
