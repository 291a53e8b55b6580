import { finishAtOnce } from '../../src/base/flow.ts';
import { present } from '../../src/base/assert.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { logName, parseFileName, snapshotName } from '../../src/format/file-name.ts';
import type { Loss } from '../../src/index.ts';
import { GroupEncoder } from '../../src/log/group-encoder.ts';
import { columnsOf } from './columns.ts';
import { makeSubject, SNAPSHOT, type Subject } from './damage-subject.ts';
import type { Files } from './machine.ts';
import { groupOf, logOf, snapshotOf, STORE_ID } from './small-directory.ts';

const [LOG4, LOG5] = [logName(4), logName(5)] as const;
export const LOG6: string = logName(6);

export type ExpectedLoss = Pick<Loss, 'fromOffset' | 'toOffset'> &
  Partial<
    Pick<Loss, 'firstSequence' | 'lastSequence' | 'firstKey' | 'lastKey' | 'olderValuesMayShow'>
  > & { readonly name: string };

/** One kind of damage of the subject and its expected effects. */
export interface DamageRow {
  readonly what: string;
  readonly damage: (subject: Subject) => Files | Promise<Files>;
  /** The file that a strict open names, and the reason. */
  readonly refused: readonly [name: string, reason: RegExp];
  /** Lost chunks and groups, by their place in the subject. */
  readonly goneChunks?: readonly number[];
  readonly goneGroups?: readonly number[];
  readonly losses: (subject: Subject) => readonly ExpectedLoss[];
  /** The names that salvage moves files to, or `quarantine`, by their old names. */
  readonly moved?: Readonly<Record<string, string>>;
}

/** The directory that the rows damage. */
export const subject: Subject = await makeSubject();
const other: Subject = await makeSubject({
  storeId: new Uint8Array(16).fill(0x77),
  shift: 5000n,
});
const earlier: Subject = await makeSubject({ shift: 9000n, epoch: 0 });

function bytesOf(files: Files, name: string): Uint8Array {
  return present(files.get(name), `the subject has ${name}`);
}

/** A copy of the subject's files with one file changed. */
export function changed(name: string, change: (bytes: Uint8Array) => Uint8Array | void): Files {
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

export function group(index: number): Subject['groups'][number] {
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

/** Lost bytes without records. */
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

export function size(name: string): number {
  return bytesOf(subject.files, name).length;
}

const FRAMES: DamageRow[] = [
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

const LOGS: DamageRow[] = [
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
    refused: [LOG5, /is empty, but/],
    goneGroups: [3, 4, 5],
    losses: () => [{ ...lostGroup(3), fromOffset: 0, toOffset: 0, lastSequence: group(5).last }],
  },
  {
    what: 'empty middle log',
    damage: () => changed(LOG5, () => new Uint8Array(0)),
    refused: [LOG5, /is empty, but/],
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
    losses: () => [{ ...lostGroup(3), fromOffset: 0, toOffset: 0, lastSequence: group(5).last }],
    moved: { [LOG5]: 'quarantine' },
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
      const { bytes } = finishAtOnce(encoder.encode(position, seed, parts));
      return changed(LOG5, (log) => new Uint8Array(Buffer.concat([log, bytes])));
    },
    refused: [LOG5, /frame after the seal/],
    losses: () => [lostBytes(LOG5, size(LOG5), size(LOG5) + 68)],
  },
];

function open(firstSequence: bigint): Partial<ExpectedLoss> {
  return { firstSequence, olderValuesMayShow: true };
}

/** Files under wrong names and foreign files: a file that can be put back is not a loss. */
const NONE = (): readonly ExpectedLoss[] => [];
const ALL_LOGS = [LOG4, LOG5, LOG6] as const;

/** The subject's files, with these under other names. */
function renamed(names: Readonly<Record<string, string>>): Files {
  const files = without(...Object.keys(names));
  for (const [from, to] of Object.entries(names)) files.set(to, bytesOf(subject.files, from));
  return files;
}

function added(name: string, bytes: Uint8Array): Files {
  return new Map(subject.files).set(name, bytes);
}

/** A snapshot of another store, with one record. */
function foreignSnapshot(number: number): Promise<Uint8Array> {
  const chunks = [columnsOf([{ key: 7n, value: 7n, data: new Uint8Array(3) }])];
  return snapshotOf(number, chunks, undefined, 1, new Uint8Array(16).fill(0x77));
}

const SWAPPED: DamageRow[] = (
  [
    [LOG4, LOG5, LOG4],
    [LOG4, LOG6, LOG4],
    [LOG5, LOG6, LOG5],
  ] as const
).map(([one, two, refused]) => ({
  what: `${one} and ${two} with their names swapped`,
  damage: () => renamed({ [one]: two, [two]: one }),
  refused: [refused, /header is that of log/] as const,
  losses: NONE,
  moved: { [one]: two, [two]: one },
}));

const RENAMED: DamageRow[] = [
  ...[LOG4, LOG5].flatMap((name) =>
    [logName(9), logName(2), `${name}.bak`, `${name} (1)`, 'lost+found.dat', snapshotName(1)].map(
      (to) => ({
        what: `${name} renamed to ${to}`,
        damage: () => renamed({ [name]: to }),
        refused: (parseFileName(to).kind !== 'foreign' && to !== logName(9)
          ? [to, /which snapshot 3 does not contain/]
          : [name === LOG4 ? LOG5 : LOG6, /log \d is missing/]) as readonly [string, RegExp],
        losses: NONE,
        moved: { [to]: name },
      }),
    ),
  ),
  {
    what: 'last log renamed to a number behind it',
    damage: () => renamed({ [LOG6]: logName(9) }),
    refused: [logName(9), /log 6 is missing/],
    losses: NONE,
    moved: { [logName(9)]: LOG6 },
  },
  ...[logName(2), snapshotName(2)].map((to) => ({
    what: `last log renamed to ${to}, as if it had been merged`,
    damage: () => renamed({ [LOG6]: to }),
    refused: [to, /that of log 6, which snapshot 3 does not contain/] as const,
    losses: NONE,
    moved: { [to]: LOG6 },
  })),
  {
    what: 'the names of all logs turned round',
    damage: () => renamed({ [LOG4]: LOG5, [LOG5]: LOG6, [LOG6]: LOG4 }),
    refused: [LOG4, /header is that of log 6/],
    losses: NONE,
    moved: { [LOG5]: LOG4, [LOG6]: LOG5, [LOG4]: LOG6 },
  },
  ...[snapshotName(4), snapshotName(6), snapshotName(9)].map((to) => ({
    what: `the snapshot renamed to ${to}`,
    damage: () => renamed({ [SNAPSHOT]: to }),
    refused: [to, /header is that of snapshot 3/] as const,
    losses: NONE,
    moved: { [to]: SNAPSHOT },
  })),
  ...[`${SNAPSHOT}.bak`, `${SNAPSHOT}.old`].map((to) => ({
    what: `the snapshot renamed to ${to}`,
    damage: () => renamed({ [SNAPSHOT]: to }),
    refused: [LOG4, /snapshot before them is missing/] as const,
    losses: NONE,
    moved: { [to]: SNAPSHOT },
  })),
  {
    what: 'the snapshot and a log with their names swapped',
    damage: () => renamed({ [SNAPSHOT]: LOG4, [LOG4]: SNAPSHOT }),
    refused: [SNAPSHOT, /./],
    losses: NONE,
    moved: { [SNAPSHOT]: LOG4, [LOG4]: SNAPSHOT },
  },
];

const COPIES: DamageRow[] = [
  ...ALL_LOGS.map((name) => ({
    what: `a copy of ${name} behind the last`,
    damage: () => added(logName(7), bytesOf(subject.files, name)),
    refused: [logName(7), /header is that of log/] as const,
    losses: NONE,
    moved: { [logName(7)]: 'quarantine' },
  })),
  {
    what: 'a copy of a log in the place of another, which is gone',
    damage: () => added(LOG5, bytesOf(subject.files, LOG4)),
    refused: [LOG5, /header is that of log 4/],
    goneGroups: [3, 4, 5],
    losses: () => [{ ...lostGroup(3), fromOffset: 0, toOffset: 0, lastSequence: group(5).last }],
    moved: { [LOG5]: 'quarantine' },
  },
  {
    what: 'a copy of the snapshot under a later number',
    damage: () => added(snapshotName(5), bytesOf(subject.files, SNAPSHOT)),
    refused: [snapshotName(5), /header is that of snapshot 3/],
    losses: NONE,
    moved: { [snapshotName(5)]: 'quarantine' },
  },
  ...(['.bak', ' (1)', '.orig'] as const).map((suffix) => ({
    what: `a damaged log beside a copy ending in ${suffix}`,
    damage: () =>
      flipped(LOG5, group(4).from + 50).set(LOG5 + suffix, bytesOf(subject.files, LOG5)),
    refused: [LOG5, /./] as const,
    losses: NONE,
    moved: { [LOG5]: 'quarantine', [LOG5 + suffix]: LOG5 },
  })),
  {
    what: 'a log whose header is damaged beside a copy of it',
    damage: () => flipped(LOG5, 60).set(`${LOG5}.bak`, bytesOf(subject.files, LOG5)),
    refused: [LOG5, /./],
    losses: NONE,
    moved: { [LOG5]: 'quarantine', [`${LOG5}.bak`]: LOG5 },
  },
  {
    what: 'an older copy of a log in its place, the later beside it',
    damage: () =>
      changed(LOG5, (bytes) => bytes.fill(0, group(4).to)).set(
        `${LOG5}.new`,
        bytesOf(subject.files, LOG5),
      ),
    refused: [LOG6, /follows/],
    losses: NONE,
    moved: { [LOG5]: 'quarantine', [`${LOG5}.new`]: LOG5 },
  },
];

/** A copy of a log that was made before this group was written. */
function olderCopy(index: number): Uint8Array {
  const { log, from } = group(index);
  return bytesOf(subject.files, logName(log)).slice().fill(0, from);
}

function flippedIn(files: Files, name: string, offset: number): Files {
  const bytes = bytesOf(files, name).slice();
  bytes[offset] = present(bytes[offset], 'the offset is in the file') ^ 0x55;
  return files.set(name, bytes);
}

/** Copies that are older than the damaged file, or damaged as well. */
const WORSE_COPIES: DamageRow[] = [
  ...[4, 7].map((index) => ({
    what: `group ${index} of a log damaged, beside an older copy`,
    damage: () => {
      const name = logName(group(index).log);
      return flipped(name, group(index).from + 50).set(`${name}.bak`, olderCopy(index));
    },
    refused: [logName(group(index).log), /payload|checksum/] as const,
    goneGroups: [index],
    losses: () => [lostGroup(index)],
  })),
  ...[5, 8].map((index) => ({
    what: `header of the log with group ${index} damaged, beside an older copy`,
    damage: () => {
      const name = logName(group(index).log);
      return flipped(name, 60).set(`${name}.bak`, olderCopy(index));
    },
    refused: [logName(group(index).log), /header|checksum/] as const,
    losses: () => [lostBytes(logName(group(index).log), 0, 128)],
  })),
  {
    what: 'a chunk damaged, the last log torn, beside an older copy of the log',
    damage: () => {
      const files = flipped(SNAPSHOT, chunk(1).from + 60).set(`${LOG6}.bak`, olderCopy(7));
      const torn = bytesOf(files, LOG6).slice();
      return files.set(LOG6, torn.fill(0xee, group(8).to, group(8).to + 40));
    },
    refused: [SNAPSHOT, /payload/],
    goneChunks: [1],
    losses: () => [
      lostChunk(1, 11n, 13n),
      { ...lostBytes(LOG6, group(8).to, size(LOG6)), ...open(group(8).last + 1n) },
    ],
  },
  {
    what: 'a chunk damaged, beside a whole copy of the snapshot',
    damage: () =>
      flipped(SNAPSHOT, chunk(1).from + 60).set(
        `${SNAPSHOT}.bak`,
        bytesOf(subject.files, SNAPSHOT),
      ),
    refused: [SNAPSHOT, /payload/],
    losses: NONE,
    moved: { [SNAPSHOT]: 'quarantine', [`${SNAPSHOT}.bak`]: SNAPSHOT },
  },
  {
    what: 'a chunk damaged, beside a copy of the snapshot with more damage',
    damage: () => {
      const files = flipped(SNAPSHOT, chunk(1).from + 60);
      files.set(`${SNAPSHOT}.bak`, bytesOf(subject.files, SNAPSHOT));
      for (const index of [0, 2]) flippedIn(files, `${SNAPSHOT}.bak`, chunk(index).from + 60);
      return files;
    },
    refused: [SNAPSHOT, /payload/],
    goneChunks: [1],
    losses: () => [lostChunk(1, 11n, 13n)],
  },
  {
    what: 'header of the snapshot damaged, beside a copy with a damaged chunk',
    damage: () => {
      const files = flipped(SNAPSHOT, 50).set(`${SNAPSHOT}.bak`, bytesOf(subject.files, SNAPSHOT));
      return flippedIn(files, `${SNAPSHOT}.bak`, chunk(1).from + 60);
    },
    refused: [SNAPSHOT, /header|checksum/],
    losses: () => [lostBytes(SNAPSHOT, 0, 128)],
  },
  {
    what: 'the snapshot renamed to .bak, beside a log that was merged into it',
    damage: async () => {
      const { bytes } = await logOf({ number: 3, groups: [[[{ key: 1n, value: 666n }]]] });
      return renamed({ [SNAPSHOT]: `${SNAPSHOT}.bak` }).set(logName(3), bytes);
    },
    refused: [logName(3), /snapshot before them is missing/],
    losses: NONE,
    moved: { [`${SNAPSHOT}.bak`]: SNAPSHOT },
  },
];

const FOREIGN: DamageRow[] = [
  ...[4, 5].map((number) => ({
    what: `a snapshot of another store copied in as number ${number}`,
    damage: async () => added(snapshotName(number), await foreignSnapshot(number)),
    refused: [SNAPSHOT, /belongs to another store than snapshot \d, the newest/] as const,
    losses: NONE,
    moved: { [snapshotName(number)]: 'quarantine' },
  })),
  {
    what: 'a snapshot of another store that is newer than all that is there',
    damage: async () => added(snapshotName(9), await foreignSnapshot(9)),
    refused: [SNAPSHOT, /belongs to another store than snapshot 9/],
    losses: NONE,
    moved: { [snapshotName(9)]: 'quarantine' },
  },
  {
    what: 'a snapshot of another store in the place of our own',
    damage: async () => added(SNAPSHOT, await foreignSnapshot(3)),
    refused: [LOG4, /another store/],
    goneChunks: [0, 1, 2],
    losses: () => [{ ...lostBytes(SNAPSHOT, 0, 0), firstKey: 0n }],
    moved: { [SNAPSHOT]: 'quarantine' },
  },
  {
    what: 'a log of another store behind the last',
    damage: async () => {
      const storeId = new Uint8Array(16).fill(0x77);
      const { bytes } = await logOf({ number: 7, storeId, groups: [[[{ key: 1n, value: 1n }]]] });
      return added(logName(7), bytes);
    },
    refused: [logName(7), /another store/],
    losses: NONE,
    moved: { [logName(7)]: 'quarantine' },
  },
  {
    what: 'two logs swapped, and a snapshot of another store copied in',
    damage: async () =>
      renamed({ [LOG4]: LOG6, [LOG6]: LOG4 }).set(snapshotName(5), await foreignSnapshot(5)),
    refused: [SNAPSHOT, /belongs to another store than snapshot 5/],
    losses: NONE,
    moved: { [LOG4]: LOG6, [LOG6]: LOG4, [snapshotName(5)]: 'quarantine' },
  },
  {
    what: 'two logs swapped, and a group of one of them damaged',
    damage: () => {
      const files = renamed({ [LOG4]: LOG5, [LOG5]: LOG4 });
      const bytes = bytesOf(files, LOG4).slice();
      const at = group(4).from + 50;
      bytes[at] = present(bytes[at], 'the offset is in the file') ^ 0x55;
      return files.set(LOG4, bytes);
    },
    refused: [LOG4, /header is that of log 5/],
    goneGroups: [4],
    losses: () => [lostGroup(4)],
    moved: { [LOG4]: LOG5, [LOG5]: LOG4 },
  },
];

const SNAPSHOTS: DamageRow[] = [
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

/** All rows. */
export const DAMAGE_ROWS: readonly DamageRow[] = [
  ...FRAMES,
  ...LOGS,
  ...SWAPPED,
  ...RENAMED,
  ...COPIES,
  ...WORSE_COPIES,
  ...FOREIGN,
  ...SNAPSHOTS,
];
