import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { encodeOwnerRecord } from '../../src/directory/owner-record.ts';
import { logName } from '../../src/format/file-name.ts';
import { FencedError, type MetadataStore } from '../../src/index.ts';
import { Health } from '../../src/store/commit/health.ts';
import { CrashFs, formatTrace, openOn } from '../../src/testing/index.ts';
import { deferred } from '../support/deferred.ts';
import { makeSubject } from '../support/damage-subject.ts';
import { openElsewhere } from '../support/other-host.ts';

const LEASE = '/s/lodestore.lease';
const LOCK = '/s/lodestore.lock';
const subject = await makeSubject();
const foreign = await makeSubject({ storeId: new Uint8Array(16).fill(0x77) });
const SMALL = { mergeBytes: 1 << 30 };

/** Runs between the start and the end of the next call that `at` matches. */
let meanwhile: { readonly at: RegExp; readonly run: () => unknown } | undefined;
let fs: CrashFs;

async function turn(label: string): Promise<void> {
  const now = meanwhile;
  if (now?.at.test(label) !== true) return;
  meanwhile = undefined;
  await now.run();
}

beforeEach(() => {
  meanwhile = undefined;
  fs = new CrashFs({ scheduler: { turn } });
});

function put(key: number): { type: 'put'; key: number; value: number }[] {
  return [{ type: 'put', key, value: key + 1 }];
}

async function keysAfter(): Promise<number[]> {
  const store = await openOn(fs, '/s');
  const keys = [...store.keys()].map(Number);
  await store.close();
  return keys;
}

async function openWithBatch(): Promise<MetadataStore> {
  const store = await openOn(fs, '/s', SMALL);
  await store.insertBatch(put(1));
  return store;
}

/** The lease becomes stale, and another host opens, writes and closes. */
async function visit(key: number): Promise<void> {
  fs.leases.expire(LEASE);
  const other = await openElsewhere(fs, '/s', SMALL);
  await other.insertBatch(put(key));
  await other.close();
}

/** Two logs under each other's names, and one of another store. */
function salvageable(): CrashFs {
  const files = new Map(subject.files);
  const [four, five] = [logName(4), logName(5)];
  files.set(four, subject.files.get(five)!).set(five, subject.files.get(four)!);
  files.set(logName(9), foreign.files.get(logName(4))!);
  const entries = [...files].map(([name, bytes]) => [`/s/${name}`, bytes] as const);
  return CrashFs.withFiles(Object.fromEntries(entries), { scheduler: { turn } });
}

function callsOf(kind: string): number {
  return fs.trace.filter((call) => call.kind === kind).length;
}

describe('a pause in which nobody else uses the store', () => {
  test('before a batch: it is written when the lease is ours again', async () => {
    const store = await openWithBatch();
    fs.leases.expire(LEASE);
    await store.insertBatch(put(2));
    expect(callsOf('renewLease')).toBe(2);
    await store.insertBatch(put(3));
    expect(callsOf('renewLease')).toBe(2);
    await store.close();
    expect(await keysAfter()).toEqual([1, 2, 3]);
  });

  test('behind a log that was cut back to nothing for lack of space: writes go on', async () => {
    const store = await openOn(fs, '/s', SMALL);
    fs.faults.add({ call: 'write', nth: 3, error: 'ENOSPC', mode: 'sticky', path: /log_/ });
    await expect(store.insertBatch(put(1))).rejects.toMatchObject({ outcome: 'not-applied' });
    expect(fs.files().get(`/s/${logName(1)}`)).toEqual(new Uint8Array(0));
    fs.faults.clear();
    fs.leases.expire(LEASE);
    await store.insertBatch(put(2));
    expect(callsOf('renewLease')).toBe(2);
    await store.close();
    expect(await keysAfter()).toEqual([2]);
  });

  test('behind a log whose reserve was written in part for lack of space: writes go on', async () => {
    const store = await openWithBatch();
    const log = `/s/${logName(1)}`;
    fs.faults.add({ call: 'write', nth: 2, error: 'ENOSPC', mode: 'short', path: /log_0*1$/ });
    const large = randomBytes(150_000);
    await store.insertBatch([{ type: 'put', key: 2, value: 1, data: large }]);
    await vi.waitUntil(() => formatTrace(fs.trace).includes('ENOSPC'));
    expect(fs.files().get(log)!.length % 4096).not.toBe(0);
    fs.leases.expire(LEASE);
    await store.insertBatch(put(3));
    expect(callsOf('renewLease')).toBe(2);
    await store.close();
    expect(await keysAfter()).toEqual([1, 2, 3]);
  });

  test('during the write of a group: it settles when the lease is ours again', async () => {
    const store = await openWithBatch();
    let renewals = 0;
    const batch = store.insertBatch(put(2)).then(() => {
      renewals = callsOf('renewLease');
    });
    const renewing = deferred<unknown>();
    const paused = deferred<void>();
    const hold = async (): Promise<void> => {
      renewing.resolve(store.get(2));
      await paused.promise;
    };
    const watchRenewal = (): void => {
      meanwhile = { at: /^renewLease/, run: hold };
    };
    meanwhile = {
      at: /^write .*log_0000000000000001$/,
      run: () => {
        fs.leases.expire(LEASE);
        watchRenewal();
      },
    };
    expect(await renewing.promise).toBeUndefined();
    expect(renewals).toBe(0);
    paused.resolve(undefined);
    await batch;
    expect(renewals).toBe(2);
    await store.close();
    expect(await keysAfter()).toEqual([1, 2]);
  });

  test('with deferred batches: they are synced and shown when the lease is ours again', async () => {
    const store = await openWithBatch();
    await store.insertBatch(put(2), { durability: 'deferred' });
    const before = fs.trace.length;
    fs.leases.expire(LEASE);
    await store.sync();
    const kinds = fs.trace.slice(before).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'renewLease')).toHaveLength(2);
    expect(kinds.indexOf('dataSync')).toBeGreaterThan(kinds.lastIndexOf('renewLease'));
    await store.close();
    expect(await keysAfter()).toEqual([1, 2]);
  });

  test.each([
    ['a salvage renames', /^rename /],
    ['a salvage sets a file aside', /^makeDirectory .*quarantine/],
  ])('while %s: it goes on when the lease is ours again', async (_what, at) => {
    fs = salvageable();
    meanwhile = { at, run: () => fs.leases.expire(LEASE) };
    const store = await openOn(fs, '/s', { recovery: 'salvage' });
    expect(meanwhile).toBeUndefined();
    expect(callsOf('renewLease')).toBe(2);
    expect(store.recovery.losses).toEqual([]);
    expect(store.recovery.moved).toHaveLength(3);
    await store.close();
  });

  test('with nothing to write: the timer detects it', async () => {
    const store = await openWithBatch();
    fs.leases.expire(LEASE);
    fs.leases.wake(LEASE);
    await store.insertBatch(put(2));
    expect(callsOf('renewLease')).toBe(2);
    await store.close();
    expect(await keysAfter()).toEqual([1, 2]);
  });

  test('at any call of a run with merges: nothing is lost and nothing refused', async () => {
    let calls = 0;
    for (let nth = 1; nth === 1 || nth <= calls; nth += 3) {
      let call = 0;
      const countdown = (): Promise<void> => {
        if (++call === nth) fs.leases.expire(LEASE);
        return Promise.resolve();
      };
      fs = new CrashFs({ scheduler: { turn: countdown } });
      const store = await openWithBatch();
      await Promise.all([store.insertBatch(put(2)), store.merge(), store.insertBatch(put(3))]);
      await store.insertBatch(put(4), { durability: 'deferred' });
      await store.sync();
      await store.close();
      calls = call;
      expect(await keysAfter(), `call ${nth}`).toEqual([1, 2, 3, 4]);
    }
    expect(calls).toBeGreaterThan(50);
  });
});

describe('a pause in which another host used the store', () => {
  async function expectFenced(promise: Promise<unknown>, outcome: string): Promise<void> {
    const error: unknown = await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(FencedError);
    expect(error).toMatchObject({ outcome });
  }

  test("before a batch: it is refused, and the other host's batch stays", async () => {
    const store = await openWithBatch();
    await visit(100);
    await expectFenced(store.insertBatch(put(2)), 'not-applied');
    await expectFenced(store.insertBatch(put(3)), 'not-applied');
    await store.close();
    expect(await keysAfter()).toEqual([1, 100]);
  });

  /** If a refused sync stayed due, the commit loop would turn for ever. */
  test('with deferred batches: their sync is refused once, and the process goes on', async () => {
    const store = await openOn(fs, '/s', { ...SMALL, durability: { syncEveryMs: 1 } });
    await store.insertBatch(put(1));
    fs.leases.expire(LEASE);
    fs.faults.add({ call: 'renewLease', error: 'EIO', mode: 'sticky' });
    await vi.waitUntil(() => store.stats().state === 'poisoned');
    const refusing = vi.spyOn(Health.prototype, 'poisonedWrite');
    await new Promise((resolve) => setTimeout(resolve, 5));
    refusing.mockClear();
    for (let round = 0; round < 20; round++) await new Promise(setImmediate);
    expect(refusing).not.toHaveBeenCalled();
    refusing.mockRestore();
    await expectFenced(store.insertBatch(put(2)), 'not-applied');
    await expect(store.close()).rejects.toThrow(FencedError);
  });

  test('during the write of a group: its outcome is unknown', async () => {
    const store = await openWithBatch();
    meanwhile = { at: /^write .*log_0000000000000001$/, run: () => visit(100) };
    await expectFenced(store.insertBatch(put(2)), 'unknown');
    expect(store.get(2)).toBeUndefined();
    await store.close();
    expect(await keysAfter()).toEqual(expect.arrayContaining([1, 100]));
  });

  test('during a merge: no current file is renamed or removed', async () => {
    const store = await openWithBatch();
    meanwhile = { at: /^write .*\.tmp/, run: () => visit(100) };
    await expect(store.merge()).rejects.toMatchObject({ code: 'LODESTORE_FENCED' });
    expect(callsOf('rename')).toBe(1);
    await store.close();
    expect(await keysAfter()).toEqual([1, 100]);
  });

  test('during the creation of a store: the store of the other host stays', async () => {
    meanwhile = { at: /^dataSync .*\.tmp/, run: () => visit(100) };
    await expect(openOn(fs, '/s', SMALL)).rejects.toThrow(FencedError);
    expect(await keysAfter()).toEqual([100]);
  });

  test('while a log is prepared that lacks space: the log of the other host stays', async () => {
    const store = await openWithBatch();
    fs.faults.add({ call: 'write', error: 'ENOSPC', path: /log_0*2$/ });
    meanwhile = { at: /^write .*log_0*2$/, run: () => visit(100) };
    await store.merge().catch(() => undefined);
    await store.insertBatch(put(2)).catch(() => undefined);
    await store.close().catch(() => undefined);
    expect(await keysAfter()).toEqual([1, 100]);
  });

  test('after a write without space that is whole: the other host keeps the group', async () => {
    const store = await openWithBatch();
    fs.faults.add({ call: 'write', error: 'ENOSPC', takesEffect: true, path: /log_0*1$/ });
    meanwhile = { at: /^write .*log_0*1$/, run: () => visit(100) };
    await expectFenced(store.insertBatch(put(2)), 'unknown');
    await store.close().catch(() => undefined);
    // That of the other host's recovery.
    expect(callsOf('truncate')).toBe(1);
  });

  test("before a merge: the other host's unfinished snapshot has another name", async () => {
    const store = await openWithBatch();
    const other: Promise<unknown>[] = [];
    meanwhile = {
      at: /^open .*log_0*1$/,
      run: async () => {
        fs.leases.expire(LEASE);
        const second = await openElsewhere(fs, '/s', SMALL);
        other.push(second.merge().then(() => second.close()));
      },
    };
    await expect(store.merge()).rejects.toMatchObject({ code: 'LODESTORE_FENCED' });
    await Promise.all(other);
    await store.close().catch(() => undefined);
    const made = fs.trace.filter(({ kind, path }) => kind === 'open' && path.endsWith('.tmp'));
    expect(new Set(made.map(({ path }) => path)).size).toBe(3);
    expect(await keysAfter()).toEqual([1]);
  });

  test('a deferred batch is not shown to a follower', async () => {
    const store = await openWithBatch();
    await store.insertBatch(put(2), { durability: 'deferred' });
    await visit(100);
    await expectFenced(store.sync(), 'not-applied');
    await store.close().catch(() => undefined);
    expect(await keysAfter()).toEqual(expect.arrayContaining([1, 100]));
  });

  test("without a prepared log: no log is created in the other host's directory", async () => {
    fs.faults.add({ call: 'open', error: 'EMFILE', path: '/s/log_0000000000000002' });
    const store = await openWithBatch();
    await visit(100);
    const names = await fs.readDirectory('/s');
    await expectFenced(store.merge(), 'not-applied');
    await store.close();
    expect(await fs.readDirectory('/s')).toEqual(names);
  });

  test('before a close: the logs prepared by the other host stay', async () => {
    const store = await openWithBatch();
    await new Promise((resume) => setImmediate(resume));
    fs.leases.expire(LEASE);
    const other = await openElsewhere(fs, '/s', SMALL);
    await other.insertBatch(put(100));
    await new Promise((resume) => setImmediate(resume));
    const names = await fs.readDirectory('/s');
    await store.close().catch(() => undefined);
    expect(await fs.readDirectory('/s')).toEqual(names);
    await other.close();
  });

  test('during an open: the open is refused', async () => {
    await (await openWithBatch()).close();
    meanwhile = { at: /^read .*log_/, run: () => visit(100) };
    await expect(openOn(fs, '/s')).rejects.toBeInstanceOf(FencedError);
    expect(await keysAfter()).toEqual([1, 100]);
  });
});

/** Each difference alone reveals another host, even if the other two are missing. */
describe('a lease that is ours again, but', () => {
  const REASONS: readonly (readonly [string, RegExp, () => unknown])[] = [
    [
      'with another owner record',
      /process on host other has opened/,
      async () => {
        const owner = { pid: 7, processStartTicks: 7, bootId: 'b', machineId: 'm' };
        const record = { ...owner, hostName: 'other', nonce: 'x', openedAtMs: 1, epoch: 1 };
        const file = await fs.open(LOCK, 'r+');
        await file.write(encodeOwnerRecord(record), 0);
        await file.close();
      },
    ],
    [
      'with a live log that was cut',
      /files of \/s have changed/,
      async () => {
        const file = await fs.open('/s/log_0000000000000001', 'r+');
        await file.truncate((await file.stat()).sizeBytes - 1);
        await file.close();
      },
    ],
    [
      'with another live log',
      /files of \/s have changed/,
      async () => {
        const file = await fs.open('/s/log_0000000000000001', 'r+');
        await file.write(Uint8Array.of(0xff), 40);
        await file.close();
      },
    ],
    [
      'without the prepared log',
      /files of \/s have changed/,
      () => fs.unlink('/s/log_0000000000000002'),
    ],
    [
      'with a prepared log that is in use',
      /files of \/s have changed/,
      async () => {
        const file = await fs.open('/s/log_0000000000000002', 'r+');
        await file.write(Uint8Array.of(0xff), 40);
        await file.close();
      },
    ],
  ];

  test.each(REASONS)('%s: fenced', async (_, message, harm) => {
    const store = await openWithBatch();
    // The log after the live one is prepared in the background.
    await new Promise((resume) => setImmediate(resume));
    await harm();
    fs.leases.expire(LEASE);
    const batch = store.insertBatch(put(2));
    await expect(batch).rejects.toThrow(message);
    await expect(batch).rejects.toMatchObject({ code: 'LODESTORE_FENCED' });
    await store.close();
  });
});
