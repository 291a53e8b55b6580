import { describe, expect, test } from 'vitest';
import { systemCode } from '../../src/base/errors.ts';
import { claimSectorOffset, encodeClaim } from '../../src/format/claim.ts';
import { WriteBatch, type MetadataStore, type OpenOptions } from '../../src/index.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import type { StoreEnvironment } from '../../src/store/open/environment.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { deferred } from '../support/deferred.ts';

/** Timers that fire when the test says so. */
class Timers {
  readonly #waiting: { readonly atMs: number; readonly ring: () => void }[] = [];
  #nowMs = 0;

  readonly start = (delayMs: number, ring: () => void): (() => void) => {
    const timer = { atMs: this.#nowMs + delayMs, ring };
    this.#waiting.push(timer);
    return () => {
      const at = this.#waiting.indexOf(timer);
      if (at >= 0) this.#waiting.splice(at, 1);
    };
  };

  /** Lets `ms` pass, and lets the timers that fire do their work. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      const due = this.#waiting
        .filter(({ atMs }) => atMs <= untilMs)
        .toSorted((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#waiting.splice(this.#waiting.indexOf(due), 1);
      this.#nowMs = due.atMs;
      due.ring();
    }
    this.#nowMs = untilMs;
  }
}

/** Calls of a simulated file system end within some turns. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

class Room {
  readonly timers = new Timers();
  fs: CrashFs;

  constructor(fs = new CrashFs({ trace: false })) {
    this.fs = fs;
  }

  open(
    options: OpenOptions = {},
    sizes?: StoreEnvironment['sizes'],
    pause?: StoreEnvironment['pause'],
  ): Promise<MetadataStore> {
    const environment = {
      ...simulatedEnvironment(this.fs),
      startTimer: this.timers.start,
      noteEveryMs: 50,
      ...(sizes && { sizes }),
      ...(pause && { pause }),
    };
    return openStoreIn(environment, '/meta', options);
  }

  follow(options: OpenOptions = {}): Promise<MetadataStore> {
    return this.open({ readOnly: true, follow: true, ...options });
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => systemCode(error),
  );
}

const keysOf = (store: MetadataStore): number[] => [...store.keys()].map(Number);

describe('a follower', () => {
  test('shows a batch 100 ms after its acknowledgement, 150 ms behind others', async () => {
    const room = new Room();
    const writer = await room.open();
    const follower = await room.follow();
    await writer.put(1, 1);
    await room.timers.pass(99);
    expect(keysOf(follower)).toEqual([]);
    await room.timers.pass(1);
    expect(keysOf(follower)).toEqual([1]);
    expect(follower.stats()).toMatchObject({ lastSequence: 1n, records: 1 });
    // The note of this batch waits for 50 ms after the preceding note.
    await writer.put(2, 2);
    await writer.put(3, 3);
    await room.timers.pass(150);
    expect(keysOf(follower)).toEqual([1, 2, 3]);
    await follower.close();
    await writer.close();
  });

  test('opened beside a writer shows everything settled and nothing in flight', async () => {
    const room = new Room();
    const writer = await room.open();
    for (const key of [1, 2, 3]) await writer.put(key, key);
    const follower = await room.follow();
    // The note of the first was written at once; a later group proves the preceding one.
    expect(keysOf(follower)).toEqual([1, 2]);
    await room.timers.pass(150);
    expect(keysOf(follower)).toEqual([1, 2, 3]);
    await follower.close();
    await writer.close();
  });

  test('shows a deleted range, with puts into it by its batch and later ones', async () => {
    const room = new Room();
    const writer = await room.open();
    for (const key of [1, 2, 3, 9]) await writer.put(key, key);
    const follower = await room.follow();
    await room.timers.pass(150);
    await writer.insertBatch(new WriteBatch().put(4, 4).deleteRange({ gte: 2, lte: 5 }).put(3, 33));
    await writer.put(5, 5);
    await room.timers.pass(150);
    expect(keysOf(follower)).toEqual([1, 3, 5, 9]);
    expect([follower.size, follower.valueOf(3)]).toEqual([4, 33n]);
    expect(await follower.contentHash()).toEqual(await writer.contentHash());
    await follower.close();
    await writer.close();
  });

  test('opens after its writer has noted all and closed', async () => {
    const room = new Room();
    const writer = await room.open();
    await writer.put(1, 1);
    await room.timers.pass(100);
    await writer.close();
    const follower = await room.follow();
    await follower.refresh();
    expect(keysOf(follower)).toEqual([1]);
    await follower.close();
  });

  test('opened in a closed store without its lock file shows everything', async () => {
    const room = new Room();
    const writer = await room.open();
    await writer.put(1, 1);
    await writer.close();
    await room.fs.unlink('/meta/lodestore.lock');
    const follower = await room.follow();
    expect(keysOf(follower)).toEqual([1]);
    await follower.close();
  });

  test.each(['an idle store', 'a store that writes'])(
    'opened in a backup of %s shows everything',
    async (what) => {
      const room = new Room();
      const writer = await room.open();
      await writer.put(1, 1);
      const copying = writer.backup('/copy');
      if (what === 'a store that writes') await writer.put(2, 2);
      await copying;
      await writer.close();
      const open = (options: OpenOptions): Promise<MetadataStore> =>
        openStoreIn(simulatedEnvironment(room.fs), '/copy', { readOnly: true, ...options });
      const reader = await open({});
      const follower = await open({ follow: { everyMs: 60_000 } });
      expect(keysOf(follower)).toEqual(keysOf(reader));
      expect(keysOf(follower)).toContain(1);
      await follower.close();
      await reader.close();
    },
  );

  test('follows deletes, rotations, merges and the next writer', async () => {
    const room = new Room();
    let writer = await room.open({ mergeBytes: 2_000 }, { rotateBytes: 500, reserveBytes: 512 });
    const follower = await room.follow();
    for (let round = 0; round < 12; round++) {
      for (let key = 1; key <= 5; key++) {
        await writer.put(round * 3 + key, round + 1, new Uint8Array(60).fill(round));
      }
      await writer.delete(round * 3 + 1);
      if (round % 4 === 3) await writer.merge();
      if (round === 6) {
        await writer.close();
        writer = await room.open({ mergeBytes: 2_000 }, { rotateBytes: 500, reserveBytes: 512 });
      }
      await room.timers.pass(200);
      expect([...follower]).toEqual([...writer]);
      expect(follower.stats().lastSequence).toBe(writer.stats().lastSequence);
    }
    expect(await follower.contentHash()).toEqual(await writer.contentHash());
    expect(follower.stats().following).toEqual({ everyMs: 100, lastError: undefined });
    await follower.close();
    await writer.close();
  });

  test('shows the last batch of a writer although its note could not be written', async () => {
    const room = new Room();
    const writer = await room.open();
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    room.fs.faults.add({ call: 'write', path: /lodestore\.lock$/, mode: 'sticky' });
    await writer.put(1, 1);
    await room.timers.pass(200);
    await follower.refresh();
    expect(keysOf(follower)).toEqual([]);
    room.fs.faults.clear();
    await room.timers.pass(50);
    await follower.refresh();
    expect(keysOf(follower)).toEqual([1]);
    await follower.close();
    await writer.close();
  });

  test('ignores what another store has left in the lock file', async () => {
    const room = new Room(new CrashFs());
    await (await room.open()).close();
    const storeId = new Uint8Array(16).fill(0x77);
    const foreign = { storeId, number: 99, lengthBytes: 9_999, lastSequence: 999n };
    for (const sector of [0, 1] as const) {
      const bytes = encodeClaim(foreign, BigInt(sector), sector);
      room.fs.damage('/meta/lodestore.lock', claimSectorOffset(sector), bytes);
    }
    const writer = await room.open();
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    const readings = (): number =>
      room.fs.trace.filter(({ kind }) => kind === 'readDirectory').length;
    const before = readings();
    for (const key of [1, 2, 3]) {
      await writer.put(key, key);
      await room.timers.pass(100);
      await follower.refresh();
      expect(follower.lastKey()).toBe(BigInt(key));
    }
    // Only logs are read, not the whole directory.
    expect(readings()).toBe(before);
    await follower.close();
    await writer.close();
  });

  test('reads the whole directory after merges have passed it', async () => {
    const room = new Room();
    const writer = await room.open({}, { rotateBytes: 500, reserveBytes: 512 });
    await writer.put(1, 1);
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    for (let key = 1; key <= 50; key++) await writer.put(key, key, new Uint8Array(100));
    await writer.merge();
    await writer.put(51, 51);
    await writer.merge();
    await follower.refresh();
    expect(follower.size).toBe(51);
    await follower.close();
    await writer.close();
  });

  test('does not change a view taken before', async () => {
    const room = new Room();
    const writer = await room.open();
    await writer.put(1, 1);
    await writer.merge();
    const follower = await room.follow();
    const entries = follower.entries();
    expect(entries.next().value?.[0]).toBe(1n);
    await writer.put(2, 2);
    await writer.merge();
    await follower.refresh();
    expect([...entries]).toEqual([]);
    expect(keysOf(follower)).toEqual([1, 2]);
    await follower.close();
    await writer.close();
  });
});

describe('a follower does not show', () => {
  test('a batch whose group is whole in the log, but is truncated and rejected', async () => {
    const room = new Room();
    const writer = await room.open();
    const follower = await room.follow();
    await writer.put(1, 1);
    await room.timers.pass(200);
    // The group is written whole, but not the rest up to the end of the block.
    room.fs.faults.add({
      call: 'write',
      path: /\/log_/,
      error: 'ENOSPC',
      mode: 'short',
    });
    const failing = writer.put(2, 2).catch((error: unknown) => error);
    await follower.refresh();
    expect(await failing).toMatchObject({ outcome: 'not-applied' });
    await room.timers.pass(200);
    expect(keysOf(follower)).toEqual([1]);
    room.fs.faults.clear();
    await writer.put(3, 3);
    await room.timers.pass(200);
    expect(keysOf(follower)).toEqual([1, 3]);
    expect(follower.stats().lastSequence).toBe(2n);
    await follower.close();
    await writer.close();
  });

  test('a batch that is durable, before its writer shows it', async () => {
    const room = new Room();
    let indexing: Promise<void> = Promise.resolve();
    const writer = await room.open({}, undefined, () => indexing);
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    await writer.put(1, 1);
    await writer.put(2, 2);
    const gate = deferred<void>();
    indexing = gate.promise;
    const batch = new WriteBatch();
    for (let key = 100; key < 300; key++) batch.put(key, key);
    const inserted = writer.insertBatch(batch);
    // The note of the second put is written when the batch is in the log.
    await room.timers.pass(50);
    expect(keysOf(writer)).toEqual([1, 2]);
    await follower.refresh();
    expect(keysOf(follower)).toEqual([1, 2]);
    gate.resolve(undefined);
    await inserted;
    await room.timers.pass(100);
    await follower.refresh();
    expect(follower.size).toBe(202);
    await follower.close();
    await writer.close();
  });

  test('a batch that is being written together with the seal of its log', async () => {
    const started = deferred<undefined>();
    const released = deferred<undefined>();
    let isHeld = false;
    const turn = async (label: string): Promise<void> => {
      if (!isHeld || !label.startsWith('write /meta/log_')) return;
      started.resolve(undefined);
      await released.promise;
    };
    const room = new Room(new CrashFs({ trace: false, scheduler: { turn } }));
    const writer = await room.open({}, { rotateBytes: 100 });
    await writer.put(1, 1);
    await room.timers.pass(100);
    isHeld = true;
    const written = writer.put(2, 2);
    await started.promise;
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    expect(keysOf(follower)).toEqual([1]);
    isHeld = false;
    released.resolve(undefined);
    await written;
    await room.timers.pass(100);
    await follower.refresh();
    expect(keysOf(follower)).toEqual([1, 2]);
    await follower.close();
    await writer.close();
  });

  test('a deferred batch before its sync', async () => {
    const room = new Room();
    const writer = await room.open({ durability: { syncEveryMs: 1_000 } });
    const follower = await room.follow();
    const { sequence } = await writer.put(1, 1);
    await room.timers.pass(900);
    expect(keysOf(follower)).toEqual([]);
    const reached = follower.reached(sequence);
    await room.timers.pass(300);
    await reached;
    expect(keysOf(follower)).toEqual([1]);
    await follower.close();
    await writer.close();
  });
});

describe('after a kill of the writer', () => {
  test('its last batch shows when it was noted, or when the next writer has opened the store', async () => {
    const room = new Room();
    const writer = await room.open();
    await writer.put(1, 1);
    await writer.put(2, 2);
    room.fs.powerOff();
    const after = new Room(room.fs.kill());
    const follower = await after.follow();
    expect(keysOf(follower)).toEqual([1]);
    const next = await after.open();
    await after.timers.pass(200);
    expect(keysOf(follower)).toEqual([1, 2]);
    await next.put(3, 3);
    await after.timers.pass(200);
    expect(keysOf(follower)).toEqual([1, 2, 3]);
    await follower.close();
    await next.close();
    await writer.close().catch(() => undefined);
  });
});

describe('reached', () => {
  test('resolves soon after the batch is visible, whatever the interval', async () => {
    const room = new Room();
    const writer = await room.open();
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    const { sequence } = await writer.put(1, 1);
    await writer.reached(sequence);
    const reached = follower.reached(sequence);
    await room.timers.pass(20);
    await reached;
    expect(follower.valueOf(1)).toBe(1n);
    await follower.reached(0);
    await follower.close();
    await writer.close();
  });

  test('ends by its signal, by a close, and by a failed check', async () => {
    const room = new Room();
    const writer = await room.open();
    const follower = await room.follow();
    const failures: Error[] = [];
    follower.on('followFailed', (error) => failures.push(error));
    const abort = new AbortController();
    const aborted = follower.reached(7, { signal: abort.signal });
    abort.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'LODESTORE_ABORTED' });
    await room.timers.pass(100);
    room.fs.faults.add({ call: 'read', path: /lodestore\.lock$/, mode: 'sticky' });
    const failed = codeOf(follower.reached(7));
    await room.timers.pass(300);
    expect(await failed).toBe('LODESTORE_IO');
    expect(failures).toHaveLength(1);
    expect(follower.stats().following?.lastError?.message).toBe(failures[0]!.message);
    room.fs.faults.clear();
    await room.timers.pass(100);
    expect(follower.stats().following?.lastError).toBeUndefined();
    const closed = codeOf(follower.reached(7));
    await follower.close();
    expect(await closed).toBe('LODESTORE_CLOSED');
    await expect(follower.refresh()).rejects.toMatchObject({ code: 'LODESTORE_CLOSED' });
    await expect(writer.reached(1)).rejects.toThrow(RangeError);
    await expect(writer.reached(-1)).rejects.toThrow(RangeError);
    await expect(writer.reached('1' as unknown as number)).rejects.toThrow(TypeError);
    await writer.close();
  });
});

describe('refresh', () => {
  test('updates a read-only store that does not follow by itself', async () => {
    const room = new Room();
    const writer = await room.open();
    await writer.put(1, 1);
    const reader = await room.open({ readOnly: true });
    await writer.put(2, 2);
    await room.timers.pass(1_000);
    expect(keysOf(reader)).toEqual([1]);
    await reader.refresh();
    await writer.refresh();
    expect(keysOf(reader)).toEqual([1, 2]);
    await writer.put(3, 3);
    await room.timers.pass(100);
    await reader.refresh();
    expect(keysOf(reader)).toEqual([1, 2, 3]);
    await reader.close();
    await writer.close();
  });

  test('refuses a directory with less and keeps what was shown; then shows more', async () => {
    const room = new Room();
    const writer = await room.open();
    await writer.put(1, 1);
    await room.timers.pass(100);
    const older = room.fs.files();
    await writer.put(2, 2);
    await writer.put(3, 3);
    await room.timers.pass(100);
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    expect(keysOf(follower)).toEqual([1, 2, 3]);
    await writer.close();
    for (const [path] of room.fs.files()) await room.fs.unlink(path);
    for (const [path, bytes] of older) {
      const file = await room.fs.open(path, 'wx');
      await file.write(bytes, 0);
    }
    const again = await room.open();
    await again.put(7, 7);
    await again.merge();
    await room.timers.pass(100);
    // Its logs are not read while its numbers are not higher.
    await follower.refresh();
    expect(keysOf(follower)).toEqual([1, 2, 3]);
    await again.put(8, 8);
    await again.put(9, 9);
    await room.timers.pass(100);
    await follower.refresh();
    expect(keysOf(follower)).toEqual([1, 7, 8, 9]);
    await again.close();
    await follower.close();
  });

  test('a copy with a different history is read whole although all its logs exist', async () => {
    const room = new Room();
    const writer = await room.open();
    await writer.put(1, 1);
    await room.timers.pass(100);
    const older = room.fs.files();
    await writer.put(2, 2);
    await writer.put(3, 3);
    await room.timers.pass(100);
    // It has read the directory whole, and no log since.
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    await follower.refresh();
    expect(keysOf(follower)).toEqual([1, 2, 3]);
    await writer.close();
    for (const [path] of room.fs.files()) await room.fs.unlink(path);
    for (const [path, bytes] of older) {
      const file = await room.fs.open(path, 'wx');
      await file.write(bytes, 0);
      await file.close();
    }
    const again = await room.open();
    for (const key of [7, 8, 9, 10]) await again.put(key, key);
    await room.timers.pass(100);
    await follower.refresh();
    expect(keysOf(follower)).toEqual([1, 7, 8, 9, 10]);
    await again.close();
    await follower.close();
  });

  test('a log that ends otherwise than the next one says is not followed', async () => {
    const [own, other] = [new Room(), new Room()];
    const writers = await Promise.all(
      [own, other].map((room) => room.open({}, { rotateBytes: 500, reserveBytes: 512 })),
    );
    // Two histories of one store, which differ in one value: as if a copy had gone its own way.
    const write = async (keys: readonly number[]): Promise<void> => {
      for (const key of keys) {
        const data = new Uint8Array(100).fill(key);
        await writers[0]!.put(key, key, data);
        await writers[1]!.put(key, key === 2 ? 9 : key, data);
      }
    };
    await write([1, 2]);
    await own.timers.pass(100);
    const follower = await own.follow({ follow: { everyMs: 60_000 } });
    await write([3]);
    await own.timers.pass(100);
    await follower.refresh();
    expect([follower.size, follower.valueOf(2)]).toEqual([3, 2n]);
    await write(Array.from({ length: 27 }, (_, i) => i + 4));
    for (const writer of writers) await writer.close();
    const logs = [...other.fs.files().keys()].filter((path) => /\/log_/.test(path));
    expect(logs.length).toBeGreaterThan(2);
    for (const [path] of own.fs.files()) await own.fs.unlink(path);
    for (const [path, bytes] of other.fs.files()) {
      const file = await own.fs.open(path, 'wx');
      await file.write(bytes, 0);
      await file.close();
    }
    await follower.refresh();
    expect([follower.size, follower.valueOf(2)]).toEqual([30, 9n]);
    await follower.close();
  });

  test('shows the result of a salvage', async () => {
    const room = new Room();
    const writer = await room.open({}, { rotateBytes: 500, reserveBytes: 512 });
    for (let key = 1; key <= 20; key++) await writer.put(key, key, new Uint8Array(100).fill(key));
    await room.timers.pass(100);
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    await follower.refresh();
    expect(follower.size).toBe(20);
    await writer.close();
    const [path] = [...room.fs.files().keys()].filter((name) => /\/log_/.test(name)).toSorted();
    room.fs.damage(path!, 200, new Uint8Array(20).fill(0xff));
    const salvaged = await room.open({ recovery: 'salvage' });
    expect(salvaged.size).toBeLessThan(20);
    await follower.refresh();
    expect([...follower]).toEqual([...salvaged]);
    await salvaged.put(99, 99);
    await room.timers.pass(100);
    await follower.refresh();
    expect([...follower]).toEqual([...salvaged]);
    await follower.close();
    await salvaged.close();
  });

  test('refuses another store in the directory and keeps what was shown', async () => {
    const room = new Room();
    const writer = await room.open();
    await writer.put(1, 1);
    await room.timers.pass(100);
    const follower = await room.follow({ follow: { everyMs: 60_000 } });
    await writer.close();
    for (const [path] of room.fs.files()) await room.fs.unlink(path);
    const environment = {
      ...simulatedEnvironment(room.fs),
      noteEveryMs: 50,
      randomBytes: (lengthBytes: number) => new Uint8Array(lengthBytes).fill(0x77),
    };
    const other = await openStoreIn(environment, '/meta', {});
    for (const key of [5, 6, 7]) await other.put(key, key);
    await other.merge();
    await other.close();
    await expect(follower.refresh()).rejects.toMatchObject({
      code: 'LODESTORE_POSITION_EXPIRED',
      message: expect.stringContaining('there is another store') as string,
    });
    expect(keysOf(follower)).toEqual([1]);
    await follower.close();
  });
});

test('invalid options of followers are refused', async () => {
  const room = new Room();
  await (await room.open()).close();
  const refused = (options: unknown): Promise<unknown> => room.open(options as OpenOptions);
  await expect(refused({ follow: true })).rejects.toThrow(/opened with readOnly/);
  const readOnly = true;
  await expect(refused({ readOnly, follow: { everyMs: 0 } })).rejects.toThrow(/from 1 to 3600000/);
  await expect(refused({ readOnly, follow: { everyMs: '1' } })).rejects.toThrow(TypeError);
  await expect(refused({ readOnly, follow: { every: 1 } })).rejects.toThrow(/"every"/);
  await expect(refused({ readOnly, follow: 1 })).rejects.toThrow(TypeError);
});
