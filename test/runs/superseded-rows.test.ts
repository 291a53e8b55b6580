import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ROW_HEADER_BYTES } from '../../src/base/limits.ts';
import { finishSteps } from '../../src/base/steps.ts';
import { LogRows } from '../../src/runs/log-rows.ts';
import { RepeatedKeys } from '../../src/runs/repeated-keys.ts';
import { RowBlock } from '../../src/runs/row-columns.ts';
import { RunCursor } from '../../src/runs/run-cursor.ts';
import { dropSuperseded } from '../../src/runs/superseded-rows.ts';
import { rowsLength, writeRows, type TestRow } from '../support/rows.ts';

const rowsOf = fc.array(
  fc.record({
    key: fc.oneof(fc.bigInt({ min: 0n, max: 9n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    length: fc.oneof(fc.nat(40), fc.constantFrom(0, 300, 1_000)),
    isDelete: fc.boolean(),
  }),
  { maxLength: 120 },
);

function testRows(made: readonly { key: bigint; length: number; isDelete: boolean }[]): TestRow[] {
  return made.map(({ key, length, isDelete }, i) =>
    isDelete
      ? { key, value: 0n }
      : { key, value: BigInt(i + 1), data: new Uint8Array(length).fill(i) },
  );
}

/** Blocks of different lengths, each with some of the rows. */
function blocksOf(rows: readonly TestRow[], perBlock: number): RowBlock[] {
  const blocks: RowBlock[] = [];
  for (let i = 0; i < rows.length; i += perBlock) {
    const some = rows.slice(i, i + perBlock);
    const block = new RowBlock(rowsLength(some) + (i % 3) * 200);
    writeRows(block.bytes, some);
    block.usedBytes = rowsLength(some);
    blocks.push(block);
  }
  return blocks;
}

function rowsIn(blocks: readonly RowBlock[]): TestRow[] {
  const rows: TestRow[] = [];
  for (const { view, bytes, usedBytes } of blocks) {
    for (let offset = 0; offset < usedBytes;) {
      const length = view.getUint32(offset + 16, true);
      const from = offset + ROW_HEADER_BYTES;
      const key = view.getBigUint64(offset, true);
      const value = view.getBigUint64(offset + 8, true);
      rows.push({ key, value, data: bytes.slice(from, from + length) });
      offset = from + length;
    }
  }
  return rows;
}

const NO_DATA = new Uint8Array(0);

/** The last row of each key, in the order of the rows. */
function lastOfEach(rows: readonly TestRow[]): TestRow[] {
  const last = new Map(rows.map(({ key }, i) => [key, i]));
  return rows
    .filter(({ key }, i) => last.get(key) === i)
    .map(({ key, value, data = NO_DATA }) => ({ key, value, data }));
}

describe('dropSuperseded', () => {
  test('keeps the last row of each key, in order, in the existing blocks', () => {
    fc.assert(
      fc.property(rowsOf, fc.integer({ min: 1, max: 40 }), (made, perBlock) => {
        const rows = testRows(made);
        const blocks = blocksOf(rows, perBlock);
        const { kept, freed, rowCount } = finishSteps(dropSuperseded(blocks));
        const expected = lastOfEach(rows);
        expect(rowsIn(kept)).toEqual(expected);
        expect(rowCount).toBe(expected.length);
        expect(new Set([...kept, ...freed])).toEqual(new Set(blocks));
        expect(kept.every((block) => block.usedBytes > 0)).toBe(true);
        expect(freed.every((block) => block.usedBytes === 0)).toBe(true);
      }),
    );
  });

  test('distinguishes keys of one low half that share a slot', () => {
    const rows = Array.from({ length: 600 }, (_, i) => ({ key: BigInt(i) << 32n, value: 1n }));
    expect(finishSteps(dropSuperseded(blocksOf(rows, 50))).rowCount).toBe(600);
  });

  test('frees the blocks of a hot key', () => {
    const rows = Array.from({ length: 500 }, (_, i) => ({
      key: 7n,
      value: BigInt(i + 1),
      data: new Uint8Array(100),
    }));
    const { kept, freed } = finishSteps(dropSuperseded(blocksOf(rows, 10)));
    expect([kept.length, freed.length]).toEqual([1, 49]);
  });

  test('passes over the rows twice, in steps of some thousand rows', () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => ({ key: BigInt(i % 90), value: 1n }));
    const steps = dropSuperseded(blocksOf(rows, 700));
    let count = 0;
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) count++;
    expect(step.value.rowCount).toBe(90);
    expect(count).toBe(6);
  });
});

describe('RepeatedKeys', () => {
  test('never reports fewer bytes than superseded rows have', () => {
    fc.assert(
      fc.property(rowsOf, fc.integer({ min: 1, max: 40 }), (made, perBlock) => {
        const rows = testRows(made);
        const blocks = blocksOf(rows, perBlock);
        const repeats = new RepeatedKeys();
        // Counted while they arrive.
        for (let i = 1; i <= blocks.length; i++) finishSteps(repeats.count(blocks.slice(0, i)));
        const supersededBytes = rowsLength(rows) - rowsLength(lastOfEach(rows));
        expect(repeats.mostBytes).toBeGreaterThanOrEqual(supersededBytes);
        expect(repeats.mostBytes).toBeLessThanOrEqual(rowsLength(rows));
      }),
      { numRuns: 30 },
    );
  });

  test('reports almost nothing for different keys', () => {
    const rows = Array.from({ length: 3_000 }, (_, i) => ({ key: BigInt(i) << 20n, value: 1n }));
    const repeats = new RepeatedKeys();
    finishSteps(repeats.count(blocksOf(rows, 100)));
    // Two keys may share a bit occasionally.
    expect(repeats.mostBytes).toBeLessThan(20 * ROW_HEADER_BYTES);
  });
});

describe('LogRows', () => {
  /** Superseded rows are searched once this many bytes may be superseded. */
  const SUPERSEDED_BYTES = 500;

  function groupsOf(rows: readonly TestRow[], perGroup: number): Uint8Array[] {
    const groups: Uint8Array[] = [];
    for (let i = 0; i < rows.length; i += perGroup) {
      const some = rows.slice(i, i + perGroup);
      const bytes = new Uint8Array(rowsLength(some));
      writeRows(bytes, some);
      groups.push(bytes);
    }
    return groups;
  }

  test('gives the same run whether or not superseded rows were dropped early', () => {
    fc.assert(
      fc.property(rowsOf, fc.integer({ min: 1, max: 9 }), (made, perGroup) => {
        const groups = groupsOf(testRows(made), perGroup);
        const dropping = new LogRows(64, 'own', SUPERSEDED_BYTES);
        const keeping = new LogRows();
        for (const group of groups) {
          dropping.add(group);
          if (dropping.isCheckDue) finishSteps(dropping.check());
          keeping.add(group);
        }
        expect(recordsOf(dropping)).toEqual(recordsOf(keeping));
      }),
    );
  });

  function recordsOf(rows: LogRows): { key: string; value: string; data: number[] }[] {
    const records: { key: string; value: string; data: number[] }[] = [];
    for (const cursor = new RunCursor(rows.finish()); !cursor.done; cursor.next()) {
      const { keyHigh, keyLow, valueHigh, valueLow, dataFrom, dataLength } = cursor;
      records.push({
        key: `${keyHigh}:${keyLow}`,
        value: `${valueHigh}:${valueLow}`,
        data: [...cursor.data.subarray(dataFrom, dataFrom + dataLength)],
      });
    }
    return records;
  }
});
