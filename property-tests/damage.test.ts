import { beforeAll, describe, expect, test } from 'vitest';
import { present } from '../src/base/assert.ts';
import { CorruptionError, StoreError } from '../src/base/errors.ts';
import { logName, snapshotName } from '../src/format/file-name.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { columnsOf } from '../test/support/columns.ts';
import { dumpOf, dumpOfStore, type DumpRecord } from '../test/support/dump.ts';
import { bitsOfBytes, casesOf, everyNth } from '../test/support/effort.ts';
import { readOnlyFiles } from '../test/support/read-only-files.ts';
import type { TestRow } from '../test/support/rows.ts';
import { directoryOf, logOf, snapshotOf } from '../test/support/small-directory.ts';

/**
 * A directory with a snapshot of three chunks, a sealed log and a last log, and its expected
 * contents.
 */
interface Subject {
  readonly files: Map<string, Uint8Array>;
  /** Dumps with the first n groups of the last log; the last dump is everything acknowledged. */
  readonly states: readonly string[];
  /** Offsets of the frames of the last log, and the end of the last frame. */
  readonly offsets: readonly number[];
}

const SNAPSHOT = snapshotName(3);
const SEALED = logName(4);
const LAST = logName(5);

/** Length of the zeros reserved after the frames of a log. */
const ZEROS = 20;

function at(numbers: ArrayLike<number>, index: number): number {
  return present(numbers[index], 'the index is within bounds');
}

function fileOf(subject: Subject, name: string): Uint8Array {
  return present(subject.files.get(name), 'the directory holds the file');
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function noise(lengthBytes: number): Uint8Array {
  return Uint8Array.from({ length: lengthBytes }, (_, i) => (i * i * 31 + i * 7) >>> 3);
}

const RECORDS: readonly DumpRecord[] = [
  { key: 0n, value: 1n, data: text('first') },
  { key: 1n, value: 2n ** 64n - 1n, data: text('') },
  { key: 9n, value: 3n, data: text('nine') },
  { key: 2n ** 40n, value: 4n, data: text('even') },
  { key: 2n ** 40n + 1n, value: 5n, data: text('even') },
  { key: 2n ** 64n - 1n, value: 6n, data: text('z'.repeat(90)) },
];

const SEALED_GROUPS: readonly (readonly (readonly TestRow[])[])[] = [
  [[{ key: 5n, value: 50n, data: text('five') }]],
  [[{ key: 9n, value: 0n }], [{ key: 10n, value: 100n, data: text('ten'.repeat(30)) }]],
];

const LAST_GROUPS: readonly (readonly (readonly TestRow[])[])[] = [
  [[{ key: 6n, value: 60n, data: noise(70) }]],
  [[{ key: 0n, value: 7n }], [{ key: 5n, value: 0n }]],
  [[{ key: 5n, value: 51n, data: text('again') }], [{ key: 11n, value: 1n }]],
];

function applied(groups: readonly (readonly (readonly TestRow[])[])[]): string {
  const records = new Map(RECORDS.map((record) => [record.key, record]));
  for (const { key, value, data = text('') } of groups.flat(2)) {
    if (value === 0n) records.delete(key);
    else records.set(key, { key, value, data });
  }
  return dumpOf([...records.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
}

async function subjectWith(seal: 'none' | 'alone' | 'piggybacked'): Promise<Subject> {
  const merged = { lengthBytes: 777, lastSequence: 40n, chain: 0x1234_5678 };
  const chunks = [RECORDS.slice(0, 3), RECORDS.slice(3, 5), RECORDS.slice(5)].map(columnsOf);
  const snapshot = { number: 3, bytes: await snapshotOf(3, chunks, merged) };
  const sealed = await logOf({
    number: 4,
    predecessor: { ...merged, number: 3 },
    groups: SEALED_GROUPS,
    seal: 'alone',
    zerosBehind: ZEROS,
  });
  const last = await logOf({
    number: 5,
    epoch: 2,
    predecessor: sealed.asPredecessor,
    groups: LAST_GROUPS,
    seal,
    zerosBehind: ZEROS,
  });
  const logs = [
    { number: 4, bytes: sealed.bytes },
    { number: 5, bytes: last.bytes },
  ];
  const states = [0, 1, 2, 3].map((n) => applied([...SEALED_GROUPS, ...LAST_GROUPS.slice(0, n)]));
  return {
    files: directoryOf(snapshot, logs),
    states,
    offsets: last.offsets,
  };
}

/** `groups`: the open shows this many groups of the last log. */
type Outcome = { readonly groups: number } | 'reported';

async function outcomeOf(
  subject: Subject,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<Outcome> {
  try {
    const store = await openOn(readOnlyFiles(files), '/s', { readOnly: true });
    const groups = subject.states.indexOf(dumpOfStore(store));
    expect(groups, 'the records are those of some groups of the last log').toBeGreaterThanOrEqual(
      0,
    );
    await store.close();
    return { groups };
  } catch (error) {
    if (error instanceof CorruptionError) return 'reported';
    throw error;
  }
}

function damaged(
  subject: Subject,
  name: string,
  change: (bytes: Uint8Array) => Uint8Array,
): Map<string, Uint8Array> {
  const files = new Map(subject.files);
  return files.set(name, change(fileOf(subject, name).slice()));
}

/** The number of whole groups in the last log if it has this length. */
function wholeGroups(subject: Subject, lengthBytes: number): number {
  const ends = subject.offsets.slice(1, 1 + LAST_GROUPS.length);
  return ends.filter((end) => end <= lengthBytes).length;
}

const ALL = LAST_GROUPS.length;

function everyOffset(subject: Subject, name: string): number[] {
  return Array.from(fileOf(subject, name).keys());
}

/**
 * Flips the bits of a file, one at a time. Returns those whose outcome differs from `expected` for
 * their byte.
 */
async function unexpectedFlips(
  subject: Subject,
  name: string,
  expected: (offset: number) => Outcome,
  offsets: readonly number[] = everyOffset(subject, name),
): Promise<string[]> {
  const wrong: string[] = [];
  const tested = new Set(offsets);
  for (const bit of bitsOfBytes(fileOf(subject, name).length)) {
    if (!tested.has(bit >> 3)) continue;
    const files = damaged(subject, name, (bytes) => {
      bytes[bit >> 3] = at(bytes, bit >> 3) ^ (1 << (bit & 7));
      return bytes;
    });
    const outcome = JSON.stringify(await outcomeOf(subject, files));
    if (outcome !== JSON.stringify(expected(bit >> 3))) wrong.push(`bit ${bit}: ${outcome}`);
  }
  return wrong;
}

/** The outcome of each of the lengths that a file is truncated to. */
async function cuts(
  subject: Subject,
  name: string,
  lengths: readonly number[] = everyOffset(subject, name),
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const lengthBytes of lengths) {
    const files = damaged(subject, name, (bytes) => bytes.slice(0, lengthBytes));
    outcomes.push(await outcomeOf(subject, files));
  }
  return outcomes;
}

const SEALS = ['none', 'alone', 'piggybacked'] as const;

describe.each(SEALS)('last log with seal: %s', (seal) => {
  let subject: Subject;
  /** The files before the last log are the same for all seals, which share the offsets in them. */
  const shareOf = (name: string): number[] =>
    casesOf(fileOf(subject, name).length, SEALS.length, SEALS.indexOf(seal));

  beforeAll(async () => {
    subject = await subjectWith(seal);
  });

  test('an undamaged directory shows everything acknowledged', async () => {
    expect(await outcomeOf(subject, subject.files)).toEqual({ groups: ALL });
  });

  test('every flipped bit of the snapshot is reported', async () => {
    expect(await unexpectedFlips(subject, SNAPSHOT, () => 'reported', shareOf(SNAPSHOT))).toEqual(
      [],
    );
  });

  test('every flipped bit of the sealed log is reported, up to the end of its seal', async () => {
    const { length } = fileOf(subject, SEALED);
    const expected = (offset: number): Outcome =>
      offset < length - ZEROS ? 'reported' : { groups: ALL };
    expect(await unexpectedFlips(subject, SEALED, expected, shareOf(SEALED))).toEqual([]);
  });

  test('a flipped bit of the last log is reported, or loses at most the group that it is in', async () => {
    const [from, to] = [at(subject.offsets, ALL - 1), at(subject.offsets, ALL)];
    const expected = (offset: number): Outcome => {
      if (offset < from) return 'reported';
      if (offset >= to) return { groups: ALL };
      // A separate seal proves that the last group was synced.
      return seal === 'alone' ? 'reported' : { groups: ALL - 1 };
    };
    expect(await unexpectedFlips(subject, LAST, expected)).toEqual([]);
  });

  test('every truncation of the snapshot is reported', async () => {
    const lengths = shareOf(SNAPSHOT);
    expect(await cuts(subject, SNAPSHOT, lengths)).toEqual(lengths.map(() => 'reported'));
  });

  test('every truncation of the sealed log is reported, except of the zeros after it', async () => {
    const { length } = fileOf(subject, SEALED);
    const lengths = shareOf(SEALED);
    const expected = lengths.map((lengthBytes) =>
      lengthBytes < length - ZEROS ? 'reported' : { groups: ALL },
    );
    expect(await cuts(subject, SEALED, lengths)).toEqual(expected);
  });

  test('a truncated last log shows its whole groups', async () => {
    const { length } = fileOf(subject, LAST);
    const expected = Array.from({ length }, (_, lengthBytes) => ({
      groups: wholeGroups(subject, lengthBytes),
    }));
    expect(await cuts(subject, LAST)).toEqual(expected);
  });

  test('a hole of zeros in the last log is reported, or ends the log', async () => {
    const wrong: string[] = [];
    for (let from = 0; from < fileOf(subject, LAST).length; from += 8) {
      for (const lengthBytes of [8, 32, 128, 512]) {
        const files = damaged(subject, LAST, (bytes) => bytes.fill(0, from, from + lengthBytes));
        const outcome = await outcomeOf(subject, files);
        const isPrefix = outcome === 'reported' || outcome.groups >= wholeGroups(subject, from);
        if (!isPrefix) wrong.push(`${from}+${lengthBytes}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

async function outcomeWith(change: (files: Map<string, Uint8Array>) => unknown): Promise<Outcome> {
  const subject = await subjectWith('none');
  const files = new Map(subject.files);
  await change(files);
  return outcomeOf(subject, files);
}

const bytesOf = (files: Map<string, Uint8Array>, name: string): Uint8Array =>
  present(files.get(name), 'the directory holds the file');

describe('misplaced, missing and foreign files', () => {
  const other = { number: 5, epoch: 2, groups: LAST_GROUPS };
  const stale = { lengthBytes: 777, lastSequence: 40n, chain: 0x1234_5678, number: 3 };

  test.each<[string, (files: Map<string, Uint8Array>) => unknown]>([
    ['a missing log', (files) => files.delete(SEALED)],
    ['a missing snapshot', (files) => files.delete(SNAPSHOT)],
    ['a log of zeros before the last', (files) => files.set(SEALED, new Uint8Array(500))],
    ['a log without bytes before the last', (files) => files.set(SEALED, new Uint8Array(0))],
    ['a log of junk before the last', (files) => files.set(SEALED, new Uint8Array(500).fill(0x61))],
    [
      'a gap before the last log',
      (files) => {
        files.set(logName(6), bytesOf(files, LAST));
        files.delete(LAST);
      },
    ],
    ['a copy of the last log after it', (files) => files.set(logName(6), bytesOf(files, LAST))],
    [
      'two logs swapped',
      (files) => {
        const [one, two] = [bytesOf(files, SEALED), bytesOf(files, LAST)];
        files.set(SEALED, two).set(LAST, one);
      },
    ],
    [
      'a snapshot under another number',
      (files) => files.set(snapshotName(4), bytesOf(files, SNAPSHOT)),
    ],
    ['a newer snapshot without bytes', (files) => files.set(snapshotName(5), new Uint8Array(0))],
    [
      'a log that follows another log',
      async (files) => {
        files.set(LAST, (await logOf({ ...other, predecessor: stale })).bytes);
      },
    ],
    [
      'a log of another store',
      async (files) => {
        const storeId = new Uint8Array(16).fill(1);
        files.set(
          SEALED,
          (await logOf({ ...other, number: 4, predecessor: stale, storeId })).bytes,
        );
        files.delete(LAST);
      },
    ],
    [
      'a log of an older epoch',
      async (files) => {
        files.set(
          SEALED,
          (await logOf({ ...other, number: 4, predecessor: stale, epoch: 0 })).bytes,
        );
        files.delete(LAST);
      },
    ],
  ])('%s is reported', async (_, change) => {
    expect(await outcomeWith(change)).toBe('reported');
  });

  test.each<[string, (files: Map<string, Uint8Array>) => unknown]>([
    ['a log below the snapshot', (files) => files.set(logName(3), new Uint8Array(9).fill(1))],
    ['an older snapshot', (files) => files.set(snapshotName(2), new Uint8Array(9).fill(1))],
    [
      'an unfinished snapshot',
      (files) => files.set('snapshot_0000000000000005.tmp', new Uint8Array(9)),
    ],
    ['a foreign name', (files) => files.set('snapshot_0000000000000009.old', new Uint8Array(9))],
    ['a prepared log without a group', (files) => files.set(logName(6), new Uint8Array(900))],
    [
      'a log whose preparation was interrupted by a crash',
      (files) => files.set(logName(6), new Uint8Array(900).fill(0xa5)),
    ],
  ])('%s is nothing to recovery', async (_, change) => {
    expect(await outcomeWith(change)).toEqual({ groups: ALL });
  });
});

test('a store after any truncation is repaired once, and then works unchanged', async () => {
  const subject = await subjectWith('none');
  const { length } = fileOf(subject, LAST);
  for (let lengthBytes = 0; lengthBytes < length; lengthBytes += 3) {
    const files = damaged(subject, LAST, (bytes) => bytes.slice(0, lengthBytes));
    const onDisk = Object.fromEntries([...files].map(([name, bytes]) => [`/s/${name}`, bytes]));
    const fs = CrashFs.withFiles(onDisk, { trace: false });
    const store = await openOn(fs, '/s');
    const dump = dumpOfStore(store);
    expect(dump).toBe(subject.states[wholeGroups(subject, lengthBytes)]);
    await store.insertBatch([{ type: 'put', key: 777n, value: 1n }]);
    const written = dumpOfStore(store);
    await store.close();
    const again = await openOn(fs, '/s');
    expect(again.recovery.tornTail).toBeUndefined();
    expect(dumpOfStore(again)).toBe(written);
    await again.close();
  }
});

describe('exchanged names', () => {
  const PART = 3;
  const CONTENTS = [SNAPSHOT, SEALED, LAST];
  const NAMES = [
    ...CONTENTS,
    logName(2),
    logName(8),
    snapshotName(2),
    snapshotName(8),
    `${SEALED}.bak`,
    `${LAST} (1)`,
  ];

  /** Every way to give three files three of these names. */
  function arrangements(): (readonly string[])[] {
    return NAMES.flatMap((one) =>
      NAMES.flatMap((two) => NAMES.map((three) => [one, two, three])),
    ).filter((names) => new Set(names).size === names.length);
  }

  function filesUnder(subject: Subject, names: readonly string[]): Map<string, Uint8Array> {
    const files = new Map(subject.files);
    for (const name of CONTENTS) files.delete(name);
    names.forEach((name, i) => files.set(name, fileOf(subject, at3(CONTENTS, i))));
    return files;
  }

  function at3(names: readonly string[], index: number): string {
    return present(names[index], 'there are three names');
  }

  function machineOf(files: ReadonlyMap<string, Uint8Array>, options = {}): CrashFs {
    const onDisk = Object.fromEntries([...files].map(([name, bytes]) => [`/s/${name}`, bytes]));
    return CrashFs.withFiles(onDisk, { trace: false, ...options });
  }

  async function salvagedDump(fs: CrashFs): Promise<string> {
    const store = await openOn(fs, '/s', { recovery: 'salvage' });
    const dump = dumpOfStore(store);
    expect(store.recovery.losses).toEqual([]);
    await store.close();
    return dump;
  }

  test('strict opening shows only a prefix, and salvage loses nothing where opening is refused', async () => {
    const subject = await subjectWith('alone');
    const whole = subject.states[ALL];
    const wrong: string[] = [];
    let refused = 0;
    const all = arrangements();
    for (const number of casesOf(all.length, PART)) {
      const names = all[number]!;
      const files = filesUnder(subject, names);
      const outcome = await outcomeOf(subject, files).catch((error: unknown) => error);
      if (outcome !== 'reported') {
        const isWhole = names.every((name, i) => name === CONTENTS[i]);
        // No file that is read shows that there is more.
        const isUnread = names[0] === SNAPSHOT && /bak|\(1\)/.test(names[2] ?? '');
        const isNothing = outcome instanceof StoreError && outcome.code === 'LODESTORE_NOT_FOUND';
        if (!isWhole && !isUnread && !isNothing) wrong.push(names.join(' '));
        continue;
      }
      refused++;
      const dump = await salvagedDump(machineOf(files)).catch(String);
      if (dump !== whole) wrong.push(`${names.join(' ')}: ${dump.slice(0, 200)}`);
    }
    expect(wrong).toEqual([]);
    expect(refused).toBeGreaterThan(everyNth(PART) === 1 ? 350 : 100);
  });

  test.each([
    ['two logs swapped', [SNAPSHOT, LAST, SEALED]],
    ['turned round', [SEALED, LAST, SNAPSHOT]],
    ['one free name', [SNAPSHOT, LAST, `${LAST} (1)`]],
    ['a later number', [snapshotName(8), LAST, logName(8)]],
  ])('a crash at any step of putting files back: %s', async (_what, names) => {
    const subject = await subjectWith('none');
    const whole = subject.states[ALL];
    const machines = new Map<number, CrashFs>();
    for (const link of ['linked', 'copied'] as const) {
      let seed = 0;
      const fs = machineOf(filesUnder(subject, names), {
        onCrashPoint: (point: { readonly fs: CrashFs }) => {
          for (const state of point.fs.crashStates({ cap: 12, seed: seed++ })) {
            const crashed = point.fs.materialise(state);
            machines.set(crashed.hash(), crashed);
          }
        },
      });
      if (link === 'copied') fs.faults.add({ call: 'link', error: 'EPERM', mode: 'sticky' });
      expect(await salvagedDump(fs)).toBe(whole);
    }
    expect(machines.size).toBeGreaterThan(5);
    for (const machine of machines.values()) {
      const strict = await openOn(machine.kill(), '/s', { readOnly: true }).then(
        (store) => dumpOfStore(store),
        (error: unknown) => error,
      );
      if (typeof strict === 'string') expect(strict).toBe(whole);
      else expect(strict).toBeInstanceOf(CorruptionError);
      expect(await salvagedDump(machine)).toBe(whole);
    }
  });
});
