import { describe, expect, test } from 'vitest';
import { countRows, decodeGroup } from '../../src/format/group-rows.ts';
import { partsOf, writeRangeRow } from '../../src/format/range-row.ts';
import { groupOf } from '../support/small-directory.ts';

const ROW = { key: 1n, value: 2n, data: Uint8Array.of(1, 2, 3) };
const DELETE = { key: 3n, value: 0n };

function decode(batches: Parameters<typeof groupOf>[0], recordCount?: number) {
  const group = groupOf(batches);
  return decodeGroup(group.decoded, group.batchCount, recordCount ?? group.recordCount);
}

test('one batch has no table, several batches have one', () => {
  expect(decode([[ROW, DELETE]])).toMatchObject({ batchRecordCounts: Uint32Array.of(2) });
  expect(decode([[ROW], [], [DELETE, ROW]])).toMatchObject({
    rows: groupOf([[ROW, DELETE, ROW]]).decoded,
    batchRecordCounts: Uint32Array.of(1, 0, 2),
  });
  expect(decode([[]])).toMatchObject({ rows: new Uint8Array(0) });
});

describe('refused', () => {
  test('a number of rows that differs from the header', () => {
    expect(decode([[ROW, DELETE]], 1)).toMatch(/number of rows differs/);
    expect(decode([[ROW], [DELETE]], 3)).toMatch(/number of rows differs/);
  });

  test('a table that does not fit or does not add up', () => {
    expect(decodeGroup(new Uint8Array(7), 2, 0)).toMatch(/table does not fit/);
    expect(decodeGroup(new Uint8Array(0), 0, 0)).toMatch(/table does not fit/);
    const { decoded } = groupOf([[ROW], [DELETE]]);
    decoded[decoded.length - 4] = 2;
    expect(decodeGroup(decoded, 2, 2)).toMatch(/do not add up/);
  });

  test('bytes that are not whole rows', () => {
    const { decoded } = groupOf([[ROW]]);
    for (let length = 1; length < decoded.length; length++) {
      expect(countRows(decoded.subarray(0, length))).toBe(-1);
    }
    expect(countRows(decoded)).toBe(1);
  });

  test('a delete with data', () => {
    expect(countRows(groupOf([[{ ...DELETE, data: Uint8Array.of(1) }]]).decoded)).toBe(-1);
    // A value whose low half is zero is not a delete.
    expect(countRows(groupOf([[{ ...ROW, value: 2n ** 32n }]]).decoded)).toBe(1);
  });
});

test('deletes of intervals are rows of logs of version 3 only, whose ends do not cross', () => {
  const bytes = new Uint8Array(28);
  const view = new DataView(bytes.buffer);
  writeRangeRow(view, 0, { lowest: 5n, highest: 5n });
  expect(decodeGroup(bytes, 1, 1)).toMatch(/number of rows differs/);
  expect(decodeGroup(bytes, 1, 1, 'with-intervals')).toMatchObject({ hasIntervals: true });
  const twoBatches = new Uint8Array(36);
  twoBatches.set(bytes);
  twoBatches[32] = 1;
  expect(decodeGroup(twoBatches, 2, 1, 'with-intervals')).toMatch(/not in a group of its own/);
  expect([...partsOf(bytes)]).toEqual([
    { kind: 'interval', interval: { lowest: 5n, highest: 5n } },
  ]);
  const puts = groupOf([Array.from({ length: 30_000 }, () => ROW)]).decoded;
  const parts = [...partsOf(Buffer.concat([puts, bytes]))];
  expect(parts.map(({ kind }) => kind)).toEqual(['rows', 'rows', 'rows', 'interval']);
  const rows = parts.flatMap((part) => (part.kind === 'rows' ? [part.rows] : []));
  expect(Buffer.concat(rows).equals(puts)).toBe(true);
  expect(Math.max(...rows.map(({ length }) => length))).toBeLessThan(300_000);
  writeRangeRow(view, 0, { lowest: 6n, highest: 5n });
  expect(decodeGroup(bytes, 1, 1, 'with-intervals')).toMatch(/number of rows differs/);
  expect(countRows(bytes.subarray(0, 27), 'with-intervals')).toBe(-1);
});
