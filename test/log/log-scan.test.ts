import { describe, expect, test } from 'vitest';
import { present } from '../../src/base/assert.ts';
import type { LogScan } from '../../src/log/log-report.ts';
import { scanLog } from '../../src/log/log-scan.ts';
import { forgedFrame, forgedVersion } from '../support/forged.ts';
import { readOnlyFiles } from '../support/read-only-files.ts';
import { logOf, STORE_ID, type LogPlan, type PlannedLog } from '../support/small-directory.ts';

const GROUPS: LogPlan['groups'] = [
  [[{ key: 1n, value: 1n, data: new Uint8Array(200).fill(1) }]],
  [[{ key: 2n, value: 2n }], [{ key: 1n, value: 0n }]],
  [[{ key: 3n, value: 3n, data: Uint8Array.from({ length: 90 }, (_, i) => i * i) }]],
];

function scan(bytes: Uint8Array, number = 1, storeId = STORE_ID): Promise<LogScan> {
  return scanLog(readOnlyFiles(new Map([['log', bytes]])), '/log', { number, storeId });
}

function planned(plan: Partial<LogPlan> = {}): Promise<PlannedLog> {
  return logOf({ number: 1, groups: GROUPS, zerosBehind: 100, ...plan });
}

/** A changed copy of the bytes. */
function changed(bytes: Uint8Array, change: (bytes: Uint8Array) => unknown): Uint8Array {
  const copy = bytes.slice();
  change(copy);
  return copy;
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function at(log: PlannedLog, i: number): number {
  return present(log.offsets[i], 'the log has so many frames');
}

/** The bytes of frame `i` of a log. */
function frame(log: PlannedLog, i: number): Uint8Array {
  return log.bytes.subarray(log.offsets[i], log.offsets[i + 1]);
}

describe('whole', () => {
  test('ends at zeros or the end of the file after the last frame', async () => {
    const log = await planned();
    for (const bytes of [log.bytes, log.bytes.subarray(0, -100), log.bytes.subarray(0, -77)]) {
      const found = await scan(bytes);
      expect(found).toMatchObject({
        format: 'lodestore',
        frameCount: 3,
        batchCount: 4,
        recordCount: 4,
        lastSequence: 4n,
        chain: log.asPredecessor.chain,
        validBytes: log.asPredecessor.lengthBytes,
        unprovenFrom: log.offsets[2],
        ending: { kind: 'end' },
      });
    }
  });

  test('is sealed by a seal, alone or piggybacked', async () => {
    const alone = await scan((await planned({ seal: 'alone' })).bytes);
    expect(alone).toMatchObject({
      frameCount: 3,
      ending: { kind: 'sealed', isPiggybacked: false },
    });
    const piggybacked = await scan((await planned({ seal: 'piggybacked' })).bytes);
    expect(piggybacked).toMatchObject({
      frameCount: 3,
      ending: { kind: 'sealed', isPiggybacked: true },
    });
  });

  test('yields groups in order, with their batches', async () => {
    const { bytes } = await planned();
    const seen: number[][] = [];
    await scanLog(readOnlyFiles(new Map([['log', bytes]])), '/log', {
      number: 1,
      storeId: undefined,
      onGroup: (group) => seen.push([...group.batchRecordCounts]),
    });
    expect(seen).toEqual([[1], [1, 1], [1]]);
  });

  test('ignores junk in reserved space after the seal', async () => {
    const { bytes } = await planned({ seal: 'alone' });
    const found = await scan(changed(bytes, (all) => all.fill(0xb5, -50)));
    expect(found.ending).toEqual({ kind: 'sealed', isPiggybacked: false });
  });

  test('is empty if there are only zeros', async () => {
    for (const lengthBytes of [0, 5, 128, 5000]) {
      expect(await scan(new Uint8Array(lengthBytes))).toMatchObject({ format: 'empty' });
    }
  });
});

describe('broken, and followed by no frame of this log', () => {
  test.each<[string, (log: PlannedLog) => Uint8Array, number]>([
    ['cut in a frame header', (log) => log.bytes.slice(0, at(log, 2) + 20), 2],
    ['cut in a payload', (log) => log.bytes.slice(0, at(log, 3) - 1), 2],
    [
      'other payload',
      (log) => changed(log.bytes, (b) => b.fill(9, at(log, 2) + 60, at(log, 2) + 61)),
      2,
    ],
    [
      'other header',
      (log) => changed(log.bytes, (b) => b.fill(9, at(log, 2) + 9, at(log, 2) + 10)),
      2,
    ],
    ['junk behind zeros', (log) => changed(log.bytes, (b) => b.fill(0x61, -10)), 3],
    [
      'head of the group lost',
      (log) => changed(log.bytes, (b) => b.fill(0, log.offsets[2], at(log, 2) + 50)),
      2,
    ],
  ])('%s', async (_, damage, frameCount) => {
    const log = await planned();
    const found = await scan(damage(log));
    const offset = log.offsets[frameCount];
    expect(found).toMatchObject({
      frameCount,
      validBytes: offset,
      ending: { kind: 'broken', offset, later: { kind: 'none' } },
    });
  });

  test('the seal that was written with the broken group follows', async () => {
    const log = await planned({ seal: 'piggybacked' });
    const found = await scan(changed(log.bytes, (b) => b.fill(0, log.offsets[2], log.offsets[3])));
    const later = { kind: 'piggybacked-seal', offset: log.offsets[3] };
    expect(found).toMatchObject({ frameCount: 2, ending: { kind: 'broken', later } });
  });

  test('a first write whose head is lost cannot be distinguished from junk', async () => {
    const { bytes } = await planned({ groups: GROUPS.slice(0, 1) });
    const ending = { kind: 'broken', offset: 0, later: { kind: 'none' } };
    for (const lost of [176, 200]) {
      const found = await scan(changed(bytes, (b) => b.fill(0, 0, lost)));
      expect(found).toMatchObject({ format: 'lodestore', header: undefined, ending });
    }
    for (const zeros of [0, 8]) {
      const junk = await scan(new Uint8Array(600).fill(0xa5, zeros));
      expect(junk).toMatchObject({ format: 'lodestore', header: undefined, ending });
    }
    expect(await scan(bytes.slice(0, 100))).toMatchObject({ header: undefined, ending });
  });
});

describe('broken, and followed by frames of this log, which had been synced', () => {
  test.each<[string, number]>([
    ['the first group', 0],
    ['a group in the middle', 1],
  ])('%s', async (_, i) => {
    const log = await planned();
    const from = at(log, i) + 50;
    const found = await scan(changed(log.bytes, (b) => b.fill(0x55, from, from + 8)));
    const later = { kind: 'frames', offset: log.offsets[i + 1] };
    expect(found.ending).toMatchObject({ kind: 'broken', offset: log.offsets[i], later });
  });

  test('a hole of zeros', async () => {
    const log = await planned();
    const found = await scan(changed(log.bytes, (b) => b.fill(0, log.offsets[1], log.offsets[2])));
    expect(found.ending).toMatchObject({ kind: 'broken', later: { offset: log.offsets[2] } });
  });

  test('a seal of another write', async () => {
    const log = await planned({ seal: 'alone' });
    const found = await scan(changed(log.bytes, (b) => b.fill(0, log.offsets[2], log.offsets[3])));
    expect(found.ending).toMatchObject({ kind: 'broken', later: { kind: 'frames' } });
  });

  test('two seals marked as written with it', async () => {
    const log = await planned({ seal: 'piggybacked' });
    const lost = changed(log.bytes, (b) => {
      b.copyWithin(at(log, 4), at(log, 3), at(log, 4));
      b.fill(0, at(log, 2), at(log, 3));
    });
    const bytes = forgedFrame(lost, at(log, 4), () => undefined);
    const later = { kind: 'frames', offset: at(log, 4) };
    expect((await scan(bytes)).ending).toMatchObject({ kind: 'broken', later });
  });

  test('a seal written with a later group', async () => {
    const log = await planned({ seal: 'piggybacked' });
    const found = await scan(changed(log.bytes, (b) => b.fill(0, log.offsets[1], log.offsets[3])));
    expect(found.ending).toMatchObject({ kind: 'broken', later: { kind: 'frames' } });
  });

  test.each([
    ['flipped', (bytes: Uint8Array) => bytes.fill(1, 50, 51)],
    ['without its magic', (bytes: Uint8Array) => bytes.fill(0x33, 0, 8)],
    ['lost', (bytes: Uint8Array) => bytes.fill(0, 0, 128)],
  ])('the file header %s: the first frame tells', async (_, change) => {
    const { bytes } = await planned({ groups: GROUPS.slice(0, 1) });
    const found = await scan(changed(bytes, change));
    const later = { kind: 'frames', offset: 128 };
    expect(found.ending).toMatchObject({ kind: 'broken', offset: 0, later });
  });
});

describe('corrupt: the checksums are valid, but the contents are impossible', () => {
  test('frames swapped with those of another log of the same number', async () => {
    const log = await planned();
    const other = await planned({ groups: GROUPS.toReversed(), epoch: 2 });
    // The second frames start at other offsets: swap the file headers instead.
    const bytes = joined(other.bytes.subarray(0, 128), log.bytes.subarray(128));
    expect((await scan(bytes)).ending).toEqual({
      kind: 'corrupt',
      offset: 128,
      reason: 'the frame is not chained to the one before it',
    });
  });

  test('two swapped frames of one length are broken and not accepted', async () => {
    const twice = [
      ...GROUPS.slice(0, 1),
      [[{ key: 1n, value: 2n, data: new Uint8Array(200).fill(1) }]],
    ];
    const log = await planned({ groups: [...twice, ...GROUPS.slice(2)] });
    expect(frame(log, 0).length).toBe(frame(log, 1).length);
    const swapped = joined(
      log.bytes.subarray(0, 128),
      frame(log, 1),
      frame(log, 0),
      log.bytes.subarray(log.offsets[2]),
    );
    const ending = { kind: 'broken', offset: 128, later: { kind: 'frames' } };
    expect(await scan(swapped)).toMatchObject({ frameCount: 0, ending });
  });

  test('a frame after the seal', async () => {
    const sealed = await planned({ groups: GROUPS.slice(0, 1), seal: 'alone', zerosBehind: 0 });
    const longer = await planned({ groups: GROUPS });
    // A frame of this log, at the place where it was before the seal replaced the one before it.
    const offset = at(longer, 2);
    const bytes = joined(
      sealed.bytes,
      new Uint8Array(offset - sealed.bytes.length),
      frame(longer, 2),
    );
    expect((await scan(bytes)).ending).toMatchObject({ kind: 'corrupt', offset });
  });

  test('the header of another log', async () => {
    const { bytes } = await planned({ number: 2 });
    expect((await scan(bytes)).ending).toEqual({
      kind: 'corrupt',
      offset: 0,
      reason: 'the file header is that of log 2',
    });
  });

  test.each<[string, number, (header: DataView) => void]>([
    ['not chained', 2, (header) => header.setUint32(32, 1, true)],
    ['begins with sequence 9, not 4', 2, (header) => header.setBigUint64(16, 9n, true)],
    ['batch table does not fit', 2, (header) => header.setUint32(24, 2 ** 31, true)],
    ['number of rows differs', 2, (header) => header.setUint32(28, 2, true)],
    ['does not decompress', 1, (header) => header.setUint8(5, 1)],
    ['codec 7 is unknown', 2, (header) => header.setUint8(5, 7)],
    ['names another last sequence', 3, (header) => header.setBigUint64(16, 3n, true)],
    ['counts 2 frames, but the log has 3', 3, (header) => header.setUint32(28, 2, true)],
    [
      'the log has a frame of kind 4',
      3,
      (header) => (header.setUint8(4, 4), header.setUint32(28, 0, true)),
    ],
  ])('a frame that %s', async (reason, i, change) => {
    const log = await planned({ seal: 'alone' });
    const found = await scan(forgedFrame(log.bytes, at(log, i), change));
    expect(found.ending).toMatchObject({ kind: 'corrupt', offset: log.offsets[i] });
    expect(found.ending).toHaveProperty('reason', expect.stringContaining(reason));
  });

  test.each([
    [0, { kind: 'end' }],
    [1, { kind: 'corrupt', offset: 128, reason: expect.stringContaining('reserved') as string }],
  ])(
    '%d unproven bytes in a log of version 1, whose writers did not declare any',
    async (count, ending) => {
      const { bytes } = await planned({ groups: GROUPS.slice(0, 1) });
      const old = forgedVersion(bytes, 1);
      const chain = new DataView(old.buffer).getUint32(124, true);
      const forged = forgedFrame(old, 128, (header) => {
        header.setUint32(32, chain, true);
        header.setUint32(40, count, true);
      });
      expect((await scan(forged)).ending).toEqual(ending);
    },
  );

  test('another version', async () => {
    const { bytes } = await planned();
    expect((await scan(forgedVersion(bytes, 9))).ending).toEqual({
      kind: 'unsupported',
      version: 9,
    });
  });
});

test('reads a log of another store by its own id; the caller compares the ids', async () => {
  const storeId = new Uint8Array(16).fill(1);
  const { bytes } = await planned({ storeId });
  const found = await scan(bytes);
  expect(found.header?.storeId).toEqual(storeId);
  expect(found.ending).toEqual({ kind: 'end' });
});

test('stops when its signal aborts', async () => {
  const { bytes } = await planned();
  const reason = new Error('given up');
  const scanning = scanLog(readOnlyFiles(new Map([['log', bytes]])), '/log', {
    number: 1,
    storeId: STORE_ID,
    signal: AbortSignal.abort(reason),
  });
  await expect(scanning).rejects.toBe(reason);
});

test('concurrent scans of one thread do not share the rows that they yield', async () => {
  const logs = await Promise.all(
    [1, 2, 3].map(async (byte) => {
      const data = new Uint8Array(200).fill(byte);
      const group = [[{ key: 1n, value: 1n, data }]];
      return (await planned({ groups: [group, group, group] })).bytes;
    }),
  );
  const shown = await Promise.all(
    logs.map(async (bytes) => {
      const seen = new Set<number>();
      await scanLog(readOnlyFiles(new Map([['log', bytes]])), '/log', {
        number: 1,
        storeId: STORE_ID,
        onGroup: ({ rows }) => seen.add(rows[20]!),
      });
      return [...seen];
    }),
  );
  expect(shown).toEqual([[1], [2], [3]]);
});
