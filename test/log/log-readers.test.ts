import { describe, expect, test } from 'vitest';
import { present } from '../../src/base/assert.ts';
import { LogReader, type LogStep } from '../../src/log/log-reader.ts';
import { scanLog } from '../../src/log/log-scan.ts';
import { forgedFrame, forgedVersion } from '../support/forged.ts';
import { readOnlyFiles } from '../support/read-only-files.ts';
import { logOf, STORE_ID, type LogPlan, type PlannedLog } from '../support/small-directory.ts';

// The scan of recovery and the reader of the change feed are loops over one cursor. Each row of the
// table is a log that they could judge differently if they had different rules.

const GROUPS: LogPlan['groups'] = [
  [[{ key: 1n, value: 1n, data: new Uint8Array(200).fill(1) }]],
  [[{ key: 2n, value: 2n }], [{ key: 1n, value: 0n }]],
  [[{ key: 3n, value: 3n, data: Uint8Array.from({ length: 90 }, (_, i) => i * i) }]],
];

interface Answer {
  readonly groups: readonly string[];
  readonly ending: 'sealed' | 'open' | 'corrupt';
  readonly offset: number | undefined;
  readonly reason: string | undefined;
}

function named(firstSequence: bigint, rows: Uint8Array, counts: Uint32Array): string {
  return `${firstSequence}: ${counts.join('+')} rows ${Buffer.from(rows).toString('hex')}`;
}

async function scanned(bytes: Uint8Array): Promise<Answer> {
  const groups: string[] = [];
  const { ending } = await scanLog(readOnlyFiles(new Map([['log', bytes]])), '/log', {
    number: 1,
    storeId: STORE_ID,
    onGroup: ({ rows, batchRecordCounts }, { sequence }) =>
      groups.push(named(sequence, rows, batchRecordCounts)),
  });
  if (ending.kind === 'corrupt') {
    return { groups, ending: 'corrupt', offset: ending.offset, reason: ending.reason };
  }
  const kind = ending.kind === 'sealed' ? 'sealed' : 'open';
  return { groups, ending: kind, offset: undefined, reason: undefined };
}

async function read(bytes: Uint8Array): Promise<Answer> {
  const groups: string[] = [];
  const fs = readOnlyFiles(new Map([['log', bytes]]));
  const reader = await LogReader.open(fs, '/log', 1, STORE_ID);
  let step: LogStep;
  do {
    step = await reader.next(bytes.length, 0n);
    if (step.kind === 'group') {
      const { firstSequence, rows, batchRecordCounts } = step.group;
      groups.push(named(firstSequence, rows, batchRecordCounts));
    }
  } while (step.kind === 'group' || step.kind === 'skipped');
  await reader.close();
  if (step.kind === 'corrupt') {
    return { groups, ending: 'corrupt', offset: step.offset, reason: step.reason };
  }
  const kind = step.kind === 'sealed' ? 'sealed' : 'open';
  return { groups, ending: kind, offset: undefined, reason: undefined };
}

function at(log: PlannedLog, i: number): number {
  return present(log.offsets[i], 'the log has so many frames');
}

function changed(log: PlannedLog, from: number, to: number, byte: number): Uint8Array {
  return log.bytes.slice().fill(byte, from, to);
}

/** Log 1 as version 1, with `unprovenBytes` in its first group and valid checksums. */
function asVersion1(log: PlannedLog, unprovenBytes: number): Uint8Array {
  const old = forgedVersion(log.bytes, 1);
  const chain = new DataView(old.buffer).getUint32(124, true);
  return forgedFrame(old, 128, (header) => {
    header.setUint32(32, chain, true);
    header.setUint32(40, unprovenBytes, true);
  });
}

/** The last frame is a group of this log that was written before the seal replaced it. */
async function behindSeal(): Promise<Uint8Array> {
  const longer = await logOf({ number: 1, groups: GROUPS });
  const sealed = await logOf({ number: 1, groups: GROUPS.slice(0, 1), seal: 'alone' });
  const bytes = longer.bytes.slice().fill(0, sealed.bytes.length, at(longer, 2));
  bytes.set(sealed.bytes);
  return bytes;
}

type Row = [
  string,
  Answer['ending'],
  number,
  (log: PlannedLog) => Uint8Array | Promise<Uint8Array>,
  LogPlan['seal']?,
];

const TABLE: readonly Row[] = [
  ['whole', 'open', 3, (log) => log.bytes],
  ['sealed', 'sealed', 3, (log) => log.bytes, 'alone'],
  ['sealed with its last group', 'sealed', 3, (log) => log.bytes, 'piggybacked'],
  ['cut in a header', 'open', 2, (log) => log.bytes.slice(0, at(log, 2) + 20)],
  ['cut in a payload', 'open', 2, (log) => log.bytes.slice(0, at(log, 3) - 1)],
  ['another payload', 'open', 2, (log) => changed(log, at(log, 2) + 60, at(log, 2) + 61, 9)],
  ['another header', 'open', 2, (log) => changed(log, at(log, 2) + 9, at(log, 2) + 10, 9)],
  ['zeros in the middle', 'open', 1, (log) => changed(log, at(log, 1), at(log, 2), 0)],
  ['no file header', 'open', 0, (log) => changed(log, 0, 128, 0)],
  [
    'junk behind the seal',
    'sealed',
    3,
    (log) => changed(log, at(log, 4), at(log, 4) + 90, 0xb5),
    'alone',
  ],
  ['a frame behind the seal', 'corrupt', 1, behindSeal],
  [
    'another file number',
    'corrupt',
    0,
    async () => (await logOf({ number: 2, groups: GROUPS })).bytes,
  ],
  ['unproven bytes in version 1', 'corrupt', 0, (log) => asVersion1(log, 1)],
];

/** Changed fields of frame `i`, with valid checksums. */
const FIELDS: readonly [string, number, (header: DataView) => void, LogPlan['seal']?][] = [
  ['not chained', 2, (header) => header.setUint32(32, 1, true)],
  ['begins with sequence 9, not 4', 2, (header) => header.setBigUint64(16, 9n, true)],
  ['table does not fit', 2, (header) => header.setUint32(24, 2 ** 31, true)],
  ['number of rows differs', 2, (header) => header.setUint32(28, 2, true)],
  ['does not decompress', 1, (header) => header.setUint8(5, 1)],
  ['codec 7 is unknown', 2, (header) => header.setUint8(5, 7)],
  [
    'bytes before the frame are recorded as unproven',
    2,
    (header) => header.setUint32(40, 2 ** 31, true),
  ],
  ['records bytes as unproven', 2, (header) => header.setUint32(40, 299 - 128, true)],
  ['names another last sequence', 3, (header) => header.setBigUint64(16, 3n, true), 'alone'],
  ['counts 2 frames, but the log has 3', 3, (header) => header.setUint32(28, 2, true), 'alone'],
  [
    'the log has a frame of kind',
    3,
    (header) => (header.setUint8(4, 4), header.setUint32(28, 0, true)),
    'alone',
  ],
];

describe('a scan and a reader give the same result', () => {
  test.each(TABLE)('%s: %s', async (_, ending, groupCount, forge, seal = 'none') => {
    const bytes = await forge(await logOf({ number: 1, groups: GROUPS, seal, zerosBehind: 100 }));
    const answer = await read(bytes);
    expect(answer).toEqual(await scanned(bytes));
    expect(answer).toMatchObject({ ending, groups: { length: groupCount } });
  });

  test.each(FIELDS)('a frame that %s', async (reason, i, change, seal = 'none') => {
    const log = await logOf({ number: 1, groups: GROUPS, seal, zerosBehind: 100 });
    const bytes = forgedFrame(log.bytes, at(log, i), change);
    const answer = await read(bytes);
    expect(answer).toEqual(await scanned(bytes));
    expect(answer).toMatchObject({ ending: 'corrupt', offset: log.offsets[i] });
    expect(answer.reason).toContain(reason);
  });
});
