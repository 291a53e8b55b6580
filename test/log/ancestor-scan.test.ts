import { describe, expect, test } from 'vitest';
import { compress } from 'zstd-napi';
import type { LogScan } from '../../src/log/log-report.ts';
import { scanLog } from '../../src/log/log-scan.ts';
import { ancestorFrameOf, ancestorFrameOfRows, ancestorRowsOf } from '../support/ancestor-files.ts';
import { readOnlyFiles } from '../support/read-only-files.ts';
import { logOf, STORE_ID } from '../support/small-directory.ts';

const FRAMES = [1n, 2n, 3n].map((key) =>
  ancestorFrameOfRows([{ key, value: key, data: new Uint8Array(40).fill(Number(key)) }]),
);

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function scan(bytes: Uint8Array): Promise<LogScan> {
  return scanLog(readOnlyFiles(new Map([['log', bytes]])), '/log', {
    number: 1,
    storeId: STORE_ID,
  });
}

test('reads whole frames, followed by zeros or nothing', async () => {
  for (const zeros of [0, 3, 1000]) {
    const found = await scan(joined(...FRAMES, new Uint8Array(zeros)));
    const whole = { format: 'ancestor', frameCount: 3, recordCount: 3, ending: { kind: 'end' } };
    expect(found).toMatchObject(whole);
  }
});

test('reads a payload of several zstd frames, and one without rows', async () => {
  const rows = ancestorRowsOf([{ key: 1n, value: 1n, data: new Uint8Array(9) }]);
  const cut = [rows.subarray(0, 10), rows.subarray(10)].map((part) => compress(part));
  const bytes = joined(ancestorFrameOf(joined(...cut)), ancestorFrameOfRows([]));
  expect(await scan(bytes)).toMatchObject({ frameCount: 2, recordCount: 1 });
});

describe('the last frame is invalid', () => {
  const before = joined(...FRAMES.slice(0, 2));
  const last = FRAMES.slice(2);

  test.each([3, 8, 20])('cut after %d bytes', async (lengthBytes) => {
    const found = await scan(joined(before, ...last.map((all) => all.subarray(0, lengthBytes))));
    const ending = { kind: 'broken', offset: before.length, later: { kind: 'none' } };
    expect(found).toMatchObject({ frameCount: 2, validBytes: before.length, ending });
  });
});

test.each([
  ['its payload', 20],
  ['its length', 0],
  ['the high bytes of its length', 6],
])('a frame whose damage is in %s, with whole ones behind', async (_, at) => {
  const bytes = joined(...FRAMES);
  const first = bytes.length / 3;
  bytes.fill(0x77, first + at, first + at + 1);
  const later = { kind: 'frames', offset: 2 * first };
  expect(await scan(bytes)).toMatchObject({ frameCount: 1, ending: { kind: 'broken', later } });
});

test.each<[string, Uint8Array]>([
  ['is no zstd', ancestorFrameOf(Uint8Array.of(1, 2, 3))],
  [
    'ends inside a record',
    ancestorFrameOf(
      compress(ancestorRowsOf([{ key: 1n, value: 1n, data: new Uint8Array(9) }]).subarray(0, 30)),
    ),
  ],
  ['has a record over the limit', ancestorFrameOf(compress(Buffer.alloc(24, 0xff)))],
])('a frame that holds and %s is corrupt', async (_, frame) => {
  expect((await scan(joined(...FRAMES, frame))).ending).toMatchObject({ kind: 'corrupt' });
});

test('ignores fewer bytes than a row header at the end of a payload', async () => {
  const rows = joined(ancestorRowsOf([{ key: 1n, value: 1n }]), new Uint8Array(23));
  const found = await scan(ancestorFrameOf(compress(Buffer.from(rows))));
  expect(found).toMatchObject({ recordCount: 1, ending: { kind: 'end' } });
});

test("does not read one of our logs without its magic as the ancestor's", async () => {
  const { bytes } = await logOf({ number: 1, groups: [[[{ key: 1n, value: 1n }]]] });
  for (const fill of [0x41, 0]) {
    const found = await scan(bytes.slice().fill(fill, 0, 8));
    expect(found).toMatchObject({ format: 'lodestore', ending: { later: { kind: 'frames' } } });
  }
});
