import { describe, expect, test } from 'vitest';
import { CorruptionError, type Loss, type MovedFile } from '../../src/index.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import { openOn } from '../../src/testing/index.ts';
import { dumpOfSubject } from '../support/damage-subject.ts';
import {
  changed,
  DAMAGE_ROWS,
  group,
  LOG6,
  size,
  subject,
  type ExpectedLoss,
} from '../support/damage-table.ts';
import { dumpOfStore } from '../support/dump.ts';
import { casesOf } from '../support/effort.ts';
import { machineWith, storeFiles } from '../support/machine.ts';

/** Losses without their texts. */
function bare(losses: readonly Loss[]): unknown[] {
  return losses.map((loss) => ({ ...loss, reason: '', quarantined: '' }));
}

function bareExpected(losses: readonly ExpectedLoss[]): unknown[] {
  const defaults = {
    reason: '',
    quarantined: '',
    firstSequence: undefined,
    lastSequence: undefined,
    firstKey: undefined,
    lastKey: undefined,
    olderValuesMayShow: false,
  };
  return losses.map(({ name, ...loss }) => ({ ...defaults, ...loss, path: `/s/${name}` }));
}

function namesOf(moved: readonly MovedFile[]): Record<string, string> {
  const place = (to: string): string =>
    to.startsWith('/s/quarantine/') ? 'quarantine' : to.slice(3);
  return Object.fromEntries(moved.map(({ from, to }) => [from.slice(3), place(to)]));
}

describe.each(DAMAGE_ROWS.map((row) => [row.what, row] as const))('%s', (_what, row) => {
  test.each([{}, { readOnly: true }])(
    '%o: refused with advice, and nothing changes',
    async (mode) => {
      const files = await row.damage(subject);
      const fs = machineWith(files);
      const [name, reason] = row.refused;
      for (let attempt = 0; attempt < 2; attempt++) {
        const error: unknown = await openOn(fs, '/s', mode).catch((caught: unknown) => caught);
        expect(error).toBeInstanceOf(CorruptionError);
        expect(error).toMatchObject({
          code: 'LODESTORE_CORRUPTION',
          path: `/s/${name}`,
          reason: expect.stringMatching(reason),
          hint: expect.stringMatching(/Nothing has been changed.*lodestore explain.*'salvage'/),
        });
        expect(storeFiles(fs)).toEqual(files);
      }
    },
  );

  test('salvage keeps all valid data and names the exact losses', async () => {
    const files = await row.damage(subject);
    const fs = machineWith(files);
    const store = await openOn(fs, '/s', { recovery: 'salvage' });
    const dump = dumpOfStore(store);
    expect(dump).toBe(
      dumpOfSubject(
        [0, 1, 2].filter((index) => row.goneChunks?.includes(index) !== true),
        subject.groups.filter((_group, index) => row.goneGroups?.includes(index) !== true),
      ),
    );
    const { losses, moved } = store.recovery;
    expect(namesOf(moved)).toEqual(row.moved ?? {});
    expect(bare(losses)).toEqual(bareExpected(row.losses(subject)));
    const after = fs.files();
    const stood = new Map(moved.map(({ from, to }) => [to, from]));
    for (const { path, quarantined } of losses) {
      const copy = quarantined === undefined ? undefined : after.get(quarantined);
      const from = stood.get(path) ?? (moved.some((one) => one.from === path) ? '' : path);
      expect(copy, path).toEqual(files.get(from.slice(3)));
    }
    for (const { from, to } of moved.filter((one) => one.to.includes('quarantine'))) {
      expect(after.get(to), from).toEqual(files.get(from.slice(3)));
    }
    await store.insertBatch([{ type: 'put', key: 77_777, value: 7 }]);
    await store.close();
    const again = await openOn(fs.minimalCrash(), '/s');
    expect(again.recovery.losses).toEqual([]);
    expect(dumpOfStore(again)).toBe(`${dump}77777 7 \n`);
    await again.close();
  });
});

test('the undamaged subject opens with everything', async () => {
  const store = await openOn(machineWith(subject.files), '/s');
  expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], subject.groups));
  await store.close();
});

// --- What a crash leaves is not damage.

test('the last log truncated at any byte opens with its whole groups', async () => {
  const ends = subject.groups.slice(6).map((one) => one.to);
  const edges = [0, 128, ...ends, size(LOG6)].flatMap((edge) => [edge - 1, edge, edge + 1]);
  const cuts = new Set([...casesOf(size(LOG6), 4), ...edges]);
  for (const cut of cuts) {
    if (cut < 0 || cut > size(LOG6)) continue;
    const files = changed(LOG6, (bytes) => bytes.slice(0, cut));
    const store = await openOn(machineWith(files), '/s');
    const whole = ends.filter((end) => end <= cut).length;
    expect(dumpOfStore(store), `cut at ${cut}`).toBe(
      dumpOfSubject([0, 1, 2], subject.groups.slice(0, 6 + whole)),
    );
    const isBoundary = [0, 128, ...ends].includes(cut);
    const isTorn = !isBoundary && cut < size(LOG6);
    const hasZerosOnly = cut >= (ends.at(-1) ?? 0);
    expect(store.recovery.tornTail !== undefined, `cut at ${cut}`).toBe(isTorn && !hasZerosOnly);
    await store.close();
  }
});

test('zeros from any byte of the last log on: it opens with its whole groups', async () => {
  const ends = subject.groups.slice(6).map((one) => one.to);
  const lastEnd = ends.at(-1) ?? 0;
  // Only what one write can have left: from the last group on.
  for (let from = group(8).from; from <= lastEnd; from++) {
    const files = changed(LOG6, (bytes) => bytes.fill(0, from));
    const store = await openOn(machineWith(files), '/s');
    const whole = from === lastEnd ? 3 : 2;
    expect(dumpOfStore(store), `from ${from}`).toBe(
      dumpOfSubject([0, 1, 2], subject.groups.slice(0, 6 + whole)),
    );
    await store.close();
  }
});

test('damage of leftovers of a merge has no effect: an older snapshot, merged logs', async () => {
  const files = new Map(subject.files)
    .set(snapshotName(2), new Uint8Array(700).fill(0xee))
    .set(logName(2), new Uint8Array(700).fill(0xee))
    .set(`${snapshotName(6)}.tmp`, new Uint8Array(700).fill(0xee));
  const fs = machineWith(files);
  const store = await openOn(fs, '/s');
  expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], subject.groups));
  expect([...store.recovery.removed].sort()).toEqual(
    [logName(2), snapshotName(2), `${snapshotName(6)}.tmp`].map((name) => `/s/${name}`).sort(),
  );
  await store.close();
});
