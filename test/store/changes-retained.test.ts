import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { CorruptionError, PositionExpiredError, type MetadataStore } from '../../src/index.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { put, rest, take } from '../support/feed.ts';
import {
  filesIn,
  machineWith,
  storeFiles,
  withChange,
  withFlip,
  type Files,
} from '../support/machine.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };
const ALL = { ...NO_MERGES, retain: { bytes: 2 ** 30 } };
const ANCESTOR = fileURLToPath(new URL('../golden/ancestor', import.meta.url));

function logsOf(fs: CrashFs): string[] {
  return [...storeFiles(fs).keys()].filter((name) => name.startsWith('log_')).sort();
}

async function firstError(store: MetadataStore, after: bigint): Promise<unknown> {
  return store
    .changes({ after })
    .next()
    .catch((error: unknown) => error);
}

/** Puts key n with value n for n in [from, to], with a merge after each. */
async function fill(store: MetadataStore, from: number, to: number): Promise<void> {
  for (let key = from; key <= to; key++) {
    await store.insertBatch(put(key, key));
    await store.merge();
  }
}

function linesOf(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `${from + i} ${from + i}=${from + i}:`);
}

describe('without retain', () => {
  test('a position that merges have passed is expired, with the oldest position that can be followed', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    await fill(store, 1, 3);
    await store.insertBatch(put(4, 4));
    expect(await firstError(store, 2n)).toMatchObject({
      code: 'LODESTORE_POSITION_EXPIRED',
      position: 2n,
      oldestPosition: 3n,
      lastPosition: 4n,
      path: '/s',
    });
    expect(store.stats().changes).toEqual({
      feeds: 0,
      oldestPosition: 3n,
      retainedLogs: 0,
      retainedBytes: 0,
    });
    expect(await take(store.changes({ after: 3n }), 1)).toEqual(['4 4=4:']);
    await store.close();
  });

  test('a feed that a merge overtakes rejects instead of skipping', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    await store.insertBatch(put(1, 1));
    await store.insertBatch(put(2, 2));
    const feed = store.changes({ after: 0n });
    expect(await take(feed, 1)).toEqual(['1 1=1:']);
    await store.merge();
    await fill(store, 3, 3);
    expect(await take(feed, 1)).toEqual(['2 2=2:']);
    await expect(feed.next()).rejects.toBeInstanceOf(PositionExpiredError);
    expect(await feed.next()).toEqual({ done: true, value: undefined });
    await store.close();
  });

  test('an open removes the logs of an earlier open with retain', async () => {
    const fs = new CrashFs({ trace: false });
    let store = await openOn(fs, '/s', ALL);
    await fill(store, 1, 3);
    await store.close();
    expect(logsOf(fs)).toHaveLength(3);
    store = await openOn(fs, '/s', NO_MERGES);
    expect(store.recovery.removed).toHaveLength(3);
    expect(await firstError(store, 2n)).toBeInstanceOf(PositionExpiredError);
    await store.close();
    expect(logsOf(fs)).toEqual([]);
  });
});

describe('with retain', () => {
  test('merged logs are followed, live and after a reopen, and are never folded again', async () => {
    const fs = new CrashFs({ trace: false });
    let store = await openOn(fs, '/s', ALL);
    await fill(store, 1, 3);
    await store.insertBatch([{ type: 'del', key: 1 }]);
    expect(await take(store.changes({ after: 0n }), 4)).toEqual([...linesOf(1, 3), '4 -1']);
    await store.close();
    store = await openOn(fs, '/s', ALL);
    expect(store.recovery).toMatchObject({ logs: 1, batches: 1, removed: [] });
    expect([...store.keys()]).toEqual([2n, 3n]);
    expect(store.stats().changes).toMatchObject({ oldestPosition: 0n, retainedLogs: 3 });
    await store.insertBatch(put(5, 5));
    expect(await take(store.changes({ after: 1n }), 4)).toEqual([
      ...linesOf(2, 3),
      '4 -1',
      '5 5=5:',
    ]);
    await store.merge();
    expect([...store.keys()]).toEqual([2n, 3n, 5n]);
    await store.close();
    store = await openOn(fs, '/s', { ...ALL, readOnly: true });
    expect(await rest(store.changes({ after: 2n }))).toEqual(['3 3=3:', '4 -1', '5 5=5:']);
    await store.close();
  });

  test('the feed of a read-only store ends with its last batch, whatever retain says', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', ALL);
    await fill(store, 1, 2);
    await store.insertBatch(put(3, 3));
    const reading = await openOn(fs, '/s', { readOnly: true });
    await store.insertBatch(put(4, 4));
    expect(await rest(reading.changes({ after: 0n }))).toEqual(linesOf(1, 3));
    expect(await rest(reading.changes())).toEqual([]);
    // The writer removes logs.
    await store.merge();
    for (const name of logsOf(fs).slice(0, 3)) await fs.unlink(`/s/${name}`);
    expect(await firstError(reading, 0n)).toBeInstanceOf(PositionExpiredError);
    await reading.close();
    await store.close();
  });

  test('files are kept up to the bound, and the oldest are removed first, also by an open', async () => {
    const fs = new CrashFs({ trace: false });
    const bytes = 600_000;
    let store = await openOn(fs, '/s', { ...NO_MERGES, retain: { bytes } });
    for (let key = 1; key <= 6; key++) {
      await fill(store, key, key);
      const { changes } = store.stats();
      expect(changes.retainedBytes).toBeLessThanOrEqual(bytes);
      expect(changes.retainedLogs).toBe(Math.min(key, 2));
      const kept = [...storeFiles(fs)].filter(([name]) => name < logName(key + 1));
      const sizes = kept.filter(([name]) => name.startsWith('log_')).map(([, all]) => all.length);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(changes.retainedBytes);
    }
    expect(store.stats().changes.oldestPosition).toBe(4n);
    expect(await take(store.changes({ after: 4n }), 2)).toEqual(linesOf(5, 6));
    expect(await firstError(store, 3n)).toBeInstanceOf(PositionExpiredError);
    await store.close();
    store = await openOn(fs, '/s', { ...NO_MERGES, retain: { bytes: 300_000 } });
    expect(store.stats().changes).toMatchObject({ oldestPosition: 5n, retainedLogs: 1 });
    await store.close();
    expect(logsOf(fs)).toEqual([logName(6)]);
  });

  test('a chain with a missing or foreign log, or one of another history, is kept up to there', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', ALL);
    await fill(store, 1, 4);
    await store.close();
    const files = storeFiles(fs);
    const other = new CrashFs({ trace: false });
    const stranger = await openOn(other, '/s', ALL);
    await stranger.insertBatch(put(1, 1));
    await fill(stranger, 2, 4);
    await stranger.close();
    const damages: [string, Files][] = [
      ['missing', new Map([...files].filter(([name]) => name !== logName(2)))],
      ['cut', withChange(files, logName(2), (bytes) => bytes.slice(0, 100))],
      ['cut behind its header', withChange(files, logName(2), (bytes) => bytes.slice(0, 200))],
      ['damaged header', withFlip(files, logName(2), 70)],
      ['of another history', new Map([...files, [logName(2), storeFiles(other).get(logName(2))!]])],
    ];
    for (const [what, damaged] of damages) {
      const machine = machineWith(damaged);
      const opened = await openOn(machine, '/s', ALL);
      expect([what, opened.stats().changes.oldestPosition]).toEqual([what, 2n]);
      expect(await take(opened.changes({ after: 2n }), 2)).toEqual(linesOf(3, 4));
      expect(await firstError(opened, 1n)).toBeInstanceOf(PositionExpiredError);
      await opened.close();
      expect(logsOf(machine)).toEqual([logName(3), logName(4)]);
    }
  });

  test.each([
    ['a flipped bit', (files: Files) => withFlip(files, logName(2), 128 + 48 + 3)],
    ['a cut end', (files: Files) => withChange(files, logName(2), (all) => all.fill(0, 128))],
  ])('%s in a retained log is damage, never silence', async (_what, damage) => {
    const fs = new CrashFs({ trace: false });
    let store = await openOn(fs, '/s', ALL);
    await fill(store, 1, 3);
    await store.close();
    store = await openOn(machineWith(damage(storeFiles(fs))), '/s', ALL);
    expect(store.size).toBe(3);
    const feed = store.changes({ after: 0n });
    expect(await take(feed, 1)).toEqual(['1 1=1:']);
    await expect(feed.next()).rejects.toBeInstanceOf(CorruptionError);
    await store.close();
  });

  test('a retained log of another history with the same numbers ends the feed where it does not fit', async () => {
    const [ours, others] = [new CrashFs({ trace: false }), new CrashFs({ trace: false })];
    for (const [fs, value] of [
      [ours, 1],
      [others, 9],
    ] as const) {
      const store = await openOn(fs, '/s', ALL);
      await store.insertBatch(put(1, value));
      await store.merge();
      await store.insertBatch(put(2, 2));
      await store.merge();
      await store.close();
    }
    const files = new Map(storeFiles(ours)).set(logName(1), storeFiles(others).get(logName(1))!);
    const store = await openOn(machineWith(files), '/s', ALL);
    const feed = store.changes({ after: 0n });
    await feed.next();
    await expect(feed.next()).rejects.toMatchObject({
      code: 'LODESTORE_CORRUPTION',
      path: `/s/${logName(2)}`,
      reason: 'the log does not follow the one before it',
    });
    await store.close();
  });

  test('an invalid bound is refused', async () => {
    const fs = new CrashFs({ trace: false });
    for (const bytes of [-1, 1.5, Infinity]) {
      await expect(openOn(fs, '/s', { retain: { bytes } })).rejects.toThrow(
        /options\.retain\.bytes/,
      );
    }
    await expect(openOn(fs, '/s', { retain: 7 as unknown as object })).rejects.toBeInstanceOf(
      TypeError,
    );
    const store = await openOn(fs, '/s', { retain: {} });
    await store.close();
  });
});

describe('another history', () => {
  test('a position that the store has not reached is refused', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', ALL);
    await fill(store, 1, 2);
    const error = await firstError(store, 3n);
    expect(error).toBeInstanceOf(PositionExpiredError);
    expect(error).toMatchObject({ position: 3n, oldestPosition: 0n, lastPosition: 2n });
    await store.close();
  });

  test('after a salvage that lost batches, every earlier position stays expired', async () => {
    const fs = new CrashFs({ trace: false });
    let store = await openOn(fs, '/s', ALL);
    await fill(store, 1, 2);
    await store.insertBatch(put(3, 3));
    await store.insertBatch(put(4, 4));
    await store.close();
    const damaged = withFlip(storeFiles(fs), logName(3), 128 + 48 + 3);
    const machine = machineWith(damaged);
    store = await openOn(machine, '/s', { ...ALL, recovery: 'salvage' });
    expect(store.recovery.losses).toMatchObject([{ firstSequence: 3n, lastSequence: 3n }]);
    for (let key = 5; key < 10; key++) await store.insertBatch(put(key, key));
    for (const after of [0n, 2n, 3n, 4n, 5n, 9n]) {
      expect(await firstError(store, after)).toBeInstanceOf(PositionExpiredError);
    }
    const { oldestPosition } = store.stats().changes;
    expect(await take(store.changes({ after: oldestPosition }), 5)).toHaveLength(5);
    await store.close();
  });

  test('after a salvage that lost nothing, positions stay valid', async () => {
    const fs = new CrashFs({ trace: false });
    let store = await openOn(fs, '/s', NO_MERGES);
    await fill(store, 1, 2);
    await store.close();
    const damaged = withFlip(storeFiles(fs), snapshotName(2), -5);
    store = await openOn(machineWith(damaged), '/s', { ...ALL, recovery: 'salvage' });
    await store.insertBatch(put(3, 3));
    expect(await take(store.changes({ after: 2n }), 1)).toEqual(['3 3=3:']);
    await store.close();
  });

  test.each(['b-one-log', 'c-snapshot-and-live-log'])(
    "the ancestor's batches have no numbers: %s is followed from its first batch of ours",
    async (name) => {
      const machine = machineWith(filesIn(join(ANCESTOR, name)));
      let store = await openOn(machine, '/s', ALL);
      expect(store.size).toBeGreaterThan(0);
      expect(await firstError(store, 0n)).toBeInstanceOf(PositionExpiredError);
      const live = store.changes();
      await store.insertBatch(put(1, 1));
      await store.merge();
      await store.insertBatch(put(2, 2));
      expect(await take(live, 2)).toEqual(['1 1=1:', '2 2=2:']);
      await store.close();
      store = await openOn(machine, '/s', ALL);
      expect(await firstError(store, 0n)).toBeInstanceOf(PositionExpiredError);
      expect(await take(store.changes({ after: 1n }), 1)).toEqual(['2 2=2:']);
      await store.close();
    },
  );
});
