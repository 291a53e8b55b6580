import { beforeAll, describe, expect, test } from 'vitest';
import { present } from '../../src/base/assert.ts';
import { CorruptionError, type Loss } from '../../src/index.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { GroupEncoder } from '../../src/log/group-encoder.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import { openOn } from '../../src/testing/index.ts';
import { dumpOfSubject, makeSubject, SNAPSHOT, type Subject } from '../support/damage-subject.ts';
import { dumpOfStore } from '../support/dump.ts';
import { machineWith, storeFiles, type Files } from '../support/machine.ts';
import { groupOf, STORE_ID } from '../support/small-directory.ts';

const [LOG4, LOG5, LOG6] = [logName(4), logName(5), logName(6)] as const;

type ExpectedLoss = Pick<Loss, 'fromOffset' | 'toOffset'> &
  Partial<
    Pick<Loss, 'firstSequence' | 'lastSequence' | 'firstKey' | 'lastKey' | 'olderValuesMayShow'>
  > & { readonly name: string };

/** One way to damage the subject, and all that must come of it. */
interface Row {
  readonly what: string;
  readonly damage: (subject: Subject) => Files | Promise<Files>;
  /** The file that strict opening names, and its reason. */
  readonly refused: readonly [name: string, reason: RegExp];
  /** Chunks and groups that are gone, by their place in the subject. */
  readonly goneChunks?: readonly number[];
  readonly goneGroups?: readonly number[];
  readonly losses: (subject: Subject) => readonly ExpectedLoss[];
}

let subject: Subject;
let other: Subject;
let earlier: Subject;

beforeAll(async () => {
  subject = await makeSubject();
  other = await makeSubject({ storeId: new Uint8Array(16).fill(0x77), shift: 5000n });
  earlier = await makeSubject({ shift: 9000n, epoch: 0 });
});

function bytesOf(files: Files, name: string): Uint8Array {
  return present(files.get(name), `the subject has ${name}`);
}

/** A copy of the files in which one has been changed. */
function changed(name: string, change: (bytes: Uint8Array) => Uint8Array | void): Files {
  const bytes = bytesOf(subject.files, name).slice();
  return new Map(subject.files).set(name, change(bytes) ?? bytes);
}

function flipped(name: string, offset: number): Files {
  return changed(name, (bytes) => {
    const at = offset < 0 ? bytes.length + offset : offset;
    bytes[at] = present(bytes[at], 'the offset is in the file') ^ 0x55;
  });
}

function without(...names: string[]): Files {
  const files = new Map(subject.files);
  for (const name of names) files.delete(name);
  return files;
}

function group(index: number): Subject['groups'][number] {
  return present(subject.groups[index], 'there are nine groups');
}

function chunk(index: number): Subject['chunks'][number] {
  return present(subject.chunks[index], 'there are three chunks and an index');
}

/** The whole place of a group, with its batches. */
function lostGroup(index: number): ExpectedLoss {
  const { log, from, to, first, last } = group(index);
  return {
    name: logName(log),
    fromOffset: from,
    toOffset: to,
    firstSequence: first,
    lastSequence: last,
    olderValuesMayShow: true,
  };
}

/** Bytes that held no record. */
function lostBytes(name: string, fromOffset: number, toOffset: number): ExpectedLoss {
  return { name, fromOffset, toOffset };
}

function lostChunk(index: number, firstKey: bigint, lastKey: bigint): ExpectedLoss {
  const { from, to } = chunk(index);
  return { name: SNAPSHOT, fromOffset: from, toOffset: to, firstKey, lastKey };
}

function swapped(name: string, a: readonly [number, number], b: readonly [number, number]): Files {
  return changed(name, (bytes) => {
    const [left, right] = [bytes.slice(...a), bytes.slice(...b)];
    const between = bytes.slice(a[1], b[0]);
    bytes.set(Buffer.concat([right, between, left]), a[0]);
  });
}

const size = (name: string): number => bytesOf(subject.files, name).length;

const FRAMES: Row[] = [
  ['sealed log', 0, 'first'],
  ['sealed log', 1, 'middle'],
  ['sealed log', 2, 'last'],
  ['middle log', 3, 'first'],
  ['middle log', 4, 'middle'],
  ['middle log', 5, 'last'],
  ['live log', 6, 'first'],
  ['live log', 7, 'middle'],
].flatMap(([log, index, place]) =>
  (
    [
      ['header', 9, /header|magic|checksum/],
      ['payload', 50, /payload|checksum/],
      ['magic', 0, /magic|header|checksum/],
    ] as const
  ).map(([part, offset, reason]) => ({
    what: `${log}: ${part} of the ${place} frame`,
    damage: () => flipped(logName(group(Number(index)).log), group(Number(index)).from + offset),
    refused: [logName(4 + Math.floor(Number(index) / 3)), reason] as const,
    goneGroups: [Number(index)],
    losses: () => [lostGroup(Number(index))],
  })),
);

const LOGS: Row[] = [
  ...[LOG4, LOG5, LOG6].map((name) => ({
    what: `${name}: file header`,
    damage: () => flipped(name, 60),
    refused: [name, /header|checksum/] as const,
    losses: () => [lostBytes(name, 0, 128)],
  })),
  {
    what: 'magic of a middle log',
    damage: () => flipped(LOG5, 3),
    refused: [LOG5, /header|magic/],
    losses: () => [lostBytes(LOG5, 0, 128)],
  },
  ...[LOG4, LOG5].map((name) => ({
    what: `${name}: its seal`,
    damage: () => flipped(name, -10),
    refused: [name, /header|checksum/] as const,
    losses: () => [lostBytes(name, size(name) - 48, size(name))],
  })),
  {
    what: 'sealed log cut before its seal',
    damage: () => changed(LOG4, (bytes) => bytes.slice(0, -48)),
    refused: [LOG5, /follows/],
    losses: () => [lostBytes(LOG4, size(LOG4) - 48, size(LOG4))],
  },
  {
    what: 'sealed log cut exactly between two frames',
    damage: () => changed(LOG4, (bytes) => bytes.slice(0, group(2).from)),
    refused: [LOG5, /follows/],
    goneGroups: [2],
    losses: () => [{ ...lostGroup(2), toOffset: size(LOG4) }],
  },
  {
    what: 'sealed log cut inside a frame',
    damage: () => changed(LOG4, (bytes) => bytes.slice(0, group(1).from + 60)),
    refused: [LOG4, /later log proves/],
    goneGroups: [1, 2],
    losses: () => [{ ...lostGroup(1), toOffset: group(1).from + 60, lastSequence: group(2).last }],
  },
  {
    what: 'middle log of zeros',
    damage: () => changed(LOG5, (bytes) => bytes.fill(0)),
    refused: [LOG5, /holds nothing/],
    goneGroups: [3, 4, 5],
    losses: () => [{ ...lostGroup(3), fromOffset: 0, toOffset: 0, lastSequence: group(5).last }],
  },
  {
    what: 'empty middle log',
    damage: () => changed(LOG5, () => new Uint8Array(0)),
    refused: [LOG5, /holds nothing/],
    goneGroups: [3, 4, 5],
    losses: () => [{ ...lostGroup(3), fromOffset: 0, toOffset: 0, lastSequence: group(5).last }],
  },
  {
    what: 'missing first log',
    damage: () => without(LOG4),
    refused: [LOG5, /log 4 is missing/],
    goneGroups: [0, 1, 2],
    losses: () => [{ ...lostGroup(0), fromOffset: 0, toOffset: 0, lastSequence: group(2).last }],
  },
  {
    what: 'missing middle log',
    damage: () => without(LOG5),
    refused: [LOG6, /log 5 is missing/],
    goneGroups: [3, 4, 5],
    losses: () => [{ ...lostGroup(3), fromOffset: 0, toOffset: 0, lastSequence: group(5).last }],
  },
  {
    what: 'two missing logs',
    damage: () => without(LOG4, LOG5),
    refused: [LOG6, /log 4 is missing/],
    goneGroups: [0, 1, 2, 3, 4, 5],
    losses: () => [{ ...lostGroup(0), fromOffset: 0, toOffset: 0, lastSequence: group(5).last }],
  },
  {
    what: 'stale log: an older copy of the same file',
    damage: () => changed(LOG5, (bytes) => bytes.fill(0, group(4).to)),
    refused: [LOG6, /follows/],
    goneGroups: [5],
    losses: () => [{ ...lostGroup(5), toOffset: size(LOG5) }],
  },
  {
    what: 'log of another life of the same store',
    damage: () => new Map(subject.files).set(LOG5, bytesOf(earlier.files, LOG5)),
    refused: [LOG5, /epoch/],
    goneGroups: [3, 4, 5],
    losses: () => [
      {
        ...lostGroup(3),
        fromOffset: 0,
        toOffset: bytesOf(earlier.files, LOG5).length,
        lastSequence: group(5).last,
      },
    ],
  },
  {
    what: 'log of another store',
    damage: () => new Map(subject.files).set(LOG5, bytesOf(other.files, LOG5)),
    refused: [LOG5, /another store/],
    goneGroups: [3, 4, 5],
    losses: () => [
      {
        ...lostGroup(3),
        fromOffset: 0,
        toOffset: bytesOf(other.files, LOG5).length,
        lastSequence: group(5).last,
      },
    ],
  },
  {
    what: 'log renamed to a number behind the last',
    damage: () => without(LOG5).set(logName(9), bytesOf(subject.files, LOG5)),
    refused: [LOG6, /log 5 is missing/],
    goneGroups: [3, 4, 5],
    losses: () => [
      { ...lostGroup(3), fromOffset: 0, toOffset: 0, lastSequence: group(5).last },
      { name: logName(7), ...open(53n), fromOffset: 0, toOffset: 0 },
      { name: logName(9), ...open(53n), fromOffset: 0, toOffset: size(LOG5) },
    ],
  },
  {
    what: 'two logs with their names swapped',
    damage: () =>
      new Map(subject.files)
        .set(LOG4, bytesOf(subject.files, LOG5))
        .set(LOG5, bytesOf(subject.files, LOG4)),
    refused: [LOG4, /header is that of log 5/],
    goneGroups: [0, 1, 2, 3, 4, 5],
    losses: () => [
      { ...lostGroup(0), fromOffset: 0, toOffset: size(LOG5), lastSequence: group(5).last },
      { name: LOG5, ...open(41n), fromOffset: 0, toOffset: size(LOG4), lastSequence: 48n },
    ],
  },
  {
    what: 'two frames swapped',
    damage: () => swapped(LOG4, [group(0).from, group(0).to], [group(2).from, group(2).to]),
    refused: [LOG4, /header|checksum/],
    goneGroups: [0, 2],
    losses: () => [lostGroup(0), lostGroup(2)],
  },
  {
    what: 'a frame behind the seal',
    damage: async () => {
      const position = { offset: size(LOG5), chain: 0, frameCount: 3, lastSequence: 48n };
      const seed = new ChecksumSeed(STORE_ID, 'log', 5);
      const stray = groupOf([[{ key: 1n, value: 666n }]]);
      const parts = { group: stray, seal: false };
      const encoder = new GroupEncoder();
      const { bytes } = await encoder.encode(position, seed, parts, 1, () => Promise.resolve());
      return changed(LOG5, (log) => new Uint8Array(Buffer.concat([log, bytes])));
    },
    refused: [LOG5, /frame behind the seal/],
    losses: () => [lostBytes(LOG5, size(LOG5), size(LOG5) + 68)],
  },
];

function open(firstSequence: bigint): Partial<ExpectedLoss> {
  return { firstSequence, olderValuesMayShow: true };
}

const SNAPSHOTS: Row[] = [
  {
    what: 'snapshot: header of the first chunk',
    damage: () => flipped(SNAPSHOT, chunk(0).from + 20),
    refused: [SNAPSHOT, /chunk/],
    goneChunks: [0],
    losses: () => [lostChunk(0, 1n, 3n)],
  },
  {
    what: 'snapshot: payload of the middle chunk',
    damage: () => flipped(SNAPSHOT, chunk(1).from + 60),
    refused: [SNAPSHOT, /payload/],
    goneChunks: [1],
    losses: () => [lostChunk(1, 11n, 13n)],
  },
  {
    what: 'snapshot: two chunks swapped',
    damage: () => swapped(SNAPSHOT, [chunk(0).from, chunk(0).to], [chunk(2).from, chunk(2).to]),
    refused: [SNAPSHOT, /chunk/],
    goneChunks: [0, 1, 2],
    losses: () => [lostChunk(0, 1n, 3n), lostChunk(1, 11n, 13n), lostChunk(2, 21n, 23n)],
  },
  {
    what: 'snapshot: file header',
    damage: () => flipped(SNAPSHOT, 50),
    refused: [SNAPSHOT, /header|checksum/],
    losses: () => [lostBytes(SNAPSHOT, 0, 128)],
  },
  {
    what: 'snapshot: index',
    damage: () => flipped(SNAPSHOT, chunk(3).from + 60),
    refused: [SNAPSHOT, /payload|checksum/],
    losses: () => [lostBytes(SNAPSHOT, chunk(3).from, size(SNAPSHOT))],
  },
  {
    what: 'snapshot: index and middle chunk',
    damage: () => {
      const files = flipped(SNAPSHOT, chunk(3).from + 60);
      const bytes = bytesOf(files, SNAPSHOT);
      bytes.fill(0, chunk(1).from, chunk(1).from + 8);
      return files;
    },
    refused: [SNAPSHOT, /payload|checksum/],
    goneChunks: [1],
    losses: () => [
      lostChunk(1, 4n, 20n),
      { ...lostBytes(SNAPSHOT, chunk(3).from, size(SNAPSHOT)), firstKey: 24n },
    ],
  },
  {
    what: 'snapshot: trailer',
    damage: () => flipped(SNAPSHOT, -20),
    refused: [SNAPSHOT, /trailer|checksum/],
    losses: () => [lostBytes(SNAPSHOT, chunk(3).to, size(SNAPSHOT))],
  },
  {
    what: 'snapshot: trailer and middle chunk',
    damage: () => {
      const files = flipped(SNAPSHOT, -20);
      bytesOf(files, SNAPSHOT).fill(0, chunk(1).from, chunk(1).from + 8);
      return files;
    },
    refused: [SNAPSHOT, /trailer|checksum/],
    goneChunks: [1],
    losses: () => [lostChunk(1, 11n, 13n), lostBytes(SNAPSHOT, chunk(3).to, size(SNAPSHOT))],
  },
  {
    what: 'snapshot: cut at the boundary of a chunk',
    damage: () => changed(SNAPSHOT, (bytes) => bytes.slice(0, chunk(1).to)),
    refused: [SNAPSHOT, /trailer|ends/],
    goneChunks: [2],
    losses: () => [{ ...lostBytes(SNAPSHOT, chunk(1).to, chunk(1).to), firstKey: 14n }],
  },
  {
    what: 'snapshot: cut by its last byte',
    damage: () => changed(SNAPSHOT, (bytes) => bytes.slice(0, -1)),
    refused: [SNAPSHOT, /trailer/],
    losses: () => [lostBytes(SNAPSHOT, chunk(3).to, size(SNAPSHOT) - 1)],
  },
  {
    what: 'snapshot: bytes behind the trailer',
    damage: () =>
      changed(SNAPSHOT, (bytes) => new Uint8Array(Buffer.concat([bytes, Buffer.from('more')]))),
    refused: [SNAPSHOT, /trailer/],
    losses: () => [lostBytes(SNAPSHOT, chunk(3).to, size(SNAPSHOT) + 4)],
  },
  {
    what: 'snapshot: empty',
    damage: () => changed(SNAPSHOT, () => new Uint8Array(0)),
    refused: [SNAPSHOT, /empty|ends/],
    goneChunks: [0, 1, 2],
    losses: () => [lostBytes(SNAPSHOT, 0, 0), { ...lostBytes(SNAPSHOT, 128, 0), firstKey: 0n }],
  },
  {
    what: 'snapshot: missing',
    damage: () => without(SNAPSHOT),
    refused: [LOG4, /snapshot before them is missing/],
    goneChunks: [0, 1, 2],
    losses: () => [{ ...lostBytes(SNAPSHOT, 0, 0), firstKey: 0n }],
  },
  {
    what: 'snapshot and logs: all headers',
    damage: () => {
      const files = new Map(subject.files);
      for (const [name, bytes] of files) {
        const copy = bytes.slice();
        copy.fill(0xee, 20, 30);
        files.set(name, copy);
      }
      return files;
    },
    refused: [SNAPSHOT, /header|checksum/],
    goneChunks: [0, 1, 2],
    goneGroups: [0, 1, 2, 3, 4, 5, 6, 7, 8],
    losses: () => [
      lostBytes(SNAPSHOT, 0, 128),
      { ...lostBytes(SNAPSHOT, 128, size(SNAPSHOT)), firstKey: 0n },
      ...[LOG4, LOG5, LOG6].map((name) => ({ ...lostBytes(name, 0, size(name)), ...open(1n) })),
    ],
  },
];

const ROWS: readonly Row[] = [...FRAMES, ...LOGS, ...SNAPSHOTS];

/** Losses without the texts, which are for people. */
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

describe.each(ROWS.map((row) => [row.what, row] as const))('%s', (_what, row) => {
  test.each([{}, { readOnly: true }])('%o: refused, with advice, nothing changed', async (mode) => {
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
        hint: expect.stringMatching(/Nothing has been changed.*lodestore inspect.*'salvage'/),
      });
      expect(storeFiles(fs)).toEqual(files);
    }
  });

  test('salvage: all that verifies is kept, the rest is named exactly', async () => {
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
    const { losses } = store.recovery;
    expect(bare(losses)).toEqual(bareExpected(row.losses(subject)));
    const after = fs.files();
    for (const { path, quarantined } of losses) {
      const copy = quarantined === undefined ? undefined : after.get(quarantined);
      expect(copy, path).toEqual(files.get(path.slice(3)));
    }
    await store.insertBatch([{ type: 'put', key: 77_777, value: 7 }]);
    await store.close();
    const again = await openOn(fs.minimalCrash(), '/s');
    expect(again.recovery.losses).toEqual([]);
    expect(dumpOfStore(again)).toBe(`${dump}77777 7 \n`);
    await again.close();
  });
});

test('the subject itself opens, with everything', async () => {
  const store = await openOn(machineWith(subject.files), '/s');
  expect(dumpOfStore(store)).toBe(dumpOfSubject([0, 1, 2], subject.groups));
  await store.close();
});

// --- what a crash leaves: no damage

test('the last log cut at any byte opens, with the groups that are whole', async () => {
  const ends = subject.groups.slice(6).map((one) => one.to);
  for (let cut = 0; cut <= size(LOG6); cut++) {
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

test('zeros from any byte of the last log on: opens, with the groups that are whole', async () => {
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

test('leftovers of a merge do not matter, however damaged: an older snapshot, merged logs', async () => {
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
