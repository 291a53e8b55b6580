import { deepStrictEqual, strictEqual } from 'node:assert/strict';

import type { Columns } from '../src/format/columns.ts';
import type { KeyRange, RangeOptions } from '../src/table/layer/key-range.ts';
import { StoredRecord } from '../src/table/layer/table-record.ts';
import { checkRange } from '../src/table/layer/key-range.ts';
import type { ContentCount } from '../src/table/scan/content-count.ts';
import { contentHashText } from '../src/format/content-sum.ts';
import { NO_RECORD } from '../src/table/layer/update-layer.ts';
import { joinedHalves, u64Halves } from '../src/base/u64.ts';
import type { TableSizes } from '../src/table/layer/table-sizes.ts';
import type { Replayed } from '../src/store/recovery/replayed-logs.ts';
import { Table } from '../src/table/table.ts';
import type { View } from '../src/table/view.ts';
import { chunksOf, type TestRecord } from '../test/support/columns.ts';
import { replayed } from '../test/support/replayed.ts';
import { contentHashOf } from '../test/support/independent-content-hash.ts';
import { publishRows, rowsLength, writeRows, type TestRow } from '../test/support/rows.ts';

type Model = ReadonlyMap<bigint, TestRecord>;

/** One step of a merge: chunks of the old snapshot that it replaces, and the new records. */
interface MergeStep {
  readonly from: number;
  readonly to: number;
  readonly records: TestRecord[];
  readonly isTouched: boolean;
}

interface RunningMerge {
  readonly steps: MergeStep[];
  readonly chunkRecords: number;
  readonly layout: TestRecord[][];
  /** Content hash of the frozen state, if the merge reports it. */
  readonly contentHash: bigint | undefined;
  readonly inParts: boolean;
  next: number;
}

export interface MergeShape {
  /** Whether keys between two chunks get separate steps; else they belong to the chunk before. */
  readonly insertsGaps: boolean;
  readonly chunkRecords: number;
  /** Whether the merge reports the content hash. */
  readonly isSummed: boolean;
  /** Whether the data after an old chunk are replaced chunk by chunk. */
  readonly inParts: boolean;
}

/** A table, a plain map that must agree with it, and the snapshot that a disk would have. */
export class TableWorld {
  readonly table: Table;
  #model: Map<bigint, TestRecord> = new Map();
  #layout: TestRecord[][];
  #touched: Set<bigint> = new Set();
  #frozenTouched: Set<bigint> = new Set();
  #merge: RunningMerge | undefined;
  /**
   * Nothing shadows updates that are folded into the base, so each must go with the chunk before
   * it.
   */
  readonly #isFolded: boolean;
  readonly #target: Uint8Array = new Uint8Array(64);
  readonly #views: { view: View; model: Model }[] = [];
  readonly #counts: { count: ContentCount; expected: string; isDone: boolean }[] = [];
  readonly #iterations: { left: Iterator<unknown>; expected: unknown[] }[] = [];

  /**
   * Recovered with the updates above the snapshot, or folded into chunks of `foldedRecords`
   * records.
   */
  static async recover(
    snapshot: readonly TestRecord[],
    updates: readonly TestRow[],
    chunkRecords: number,
    foldedRecords?: number,
    sizes?: TableSizes,
  ): Promise<TableWorld> {
    const layout = layoutOf(sortRecords(lastOfEachKey(snapshot)), chunkRecords);
    const chunks = layout.flatMap((records) => chunksOf(records, records.length));
    const recovered = await replayed(chunks, updates.length === 0 ? [] : [[updates]]);
    return new TableWorld(snapshot, updates, chunkRecords, recovered, foldedRecords, sizes);
  }

  private constructor(
    snapshot: readonly TestRecord[],
    updates: readonly TestRow[],
    chunkRecords: number,
    replayedUpdates: Replayed,
    foldedRecords: number | undefined,
    sizes: TableSizes | undefined,
  ) {
    this.#isFolded = foldedRecords !== undefined;
    const sorted = sortRecords(lastOfEachKey(snapshot));
    this.#layout = layoutOf(sorted, chunkRecords);
    for (const record of sorted) this.#model.set(record.key, record);
    const folded = sortRecords(lastOfEachKey(updates.map(recordOf)));
    for (const row of folded) {
      this.#touched.add(row.key);
      this.#apply(row);
    }
    // Known for every second table.
    const contentHash = snapshot.length % 2 === 0 ? this.#contentHash : undefined;
    if (foldedRecords !== undefined) {
      const recovered = {
        snapshot: chunksOf(sortRecords([...this.#model.values()]), foldedRecords),
        diskKeys: this.#layout.flatMap((records) => chunksOf(records, records.length)),
        recordCount: this.#model.size,
        contentHash,
      };
      this.table = new Table(recovered, sizes);
      return;
    }
    const recovered = {
      snapshot: this.#layout.flatMap((records) => chunksOf(records, records.length)),
      ...replayedUpdates,
      contentHash,
    };
    this.table = new Table(recovered, sizes);
  }

  publish(rows: readonly TestRow[]): void {
    publishRows(this.table, rows);
    for (const row of rows) this.#accept(row);
  }

  /** Publishes in steps; until the last step, readers see the previous state. */
  publishInSteps(rows: readonly TestRow[], rowsPerStep: number): void {
    const lengthBytes = rowsLength(rows);
    const region = this.table.reserve(lengthBytes + 7);
    writeRows(region.bytes, rows);
    this.table.beginPublish(region, lengthBytes);
    for (let done = 0; done + rowsPerStep < rows.length; done += rowsPerStep) {
      strictEqual(this.table.stepPublish(rowsPerStep), false);
      this.startCount();
      this.check(rows.map((row) => row.key));
    }
    strictEqual(this.table.stepPublish(rowsPerStep), true);
    this.check(rows.map((row) => row.key));
    this.table.endPublish();
    for (const row of rows) this.#accept(row);
  }

  /** A group that is never published, or undone after some of its rows were indexed. */
  fail(
    rows: readonly TestRow[],
    end: 'kept' | 'released' | 'abandoned',
    rowsIndexed: number,
  ): void {
    const region = this.table.reserve(rowsLength(rows));
    writeRows(region.bytes, rows);
    if (end === 'released') this.table.release(region);
    if (end !== 'abandoned') return;
    this.table.beginPublish(region, rowsLength(rows));
    this.table.stepPublish(rowsIndexed);
    this.check(rows.map((row) => row.key));
    this.table.stepAbandon(Infinity);
    this.check(rows.map((row) => row.key));
  }

  startMerge(shape: MergeShape): void {
    if (this.#merge !== undefined) return;
    this.table.freeze();
    for (const key of this.#touched) this.#frozenTouched.add(key);
    this.#touched = new Set();
    const steps = this.#planSteps(shape.insertsGaps && !this.#isFolded);
    const contentHash = shape.isSummed ? this.#contentHash : undefined;
    const { chunkRecords, inParts } = shape;
    this.#merge = { steps, chunkRecords, layout: [], contentHash, inParts, next: 0 };
  }

  stepMerge(): void {
    const merge = this.#merge;
    const step = merge?.steps[merge.next];
    if (merge === undefined || step === undefined) return;
    merge.next++;
    if (!step.isTouched) {
      merge.layout.push(...this.#layout.slice(step.from, step.to));
      return;
    }
    const layout = layoutOf(step.records, merge.chunkRecords);
    merge.layout.push(...layout);
    const columns = layout.flatMap((records) => chunksOf(records, records.length));
    if (merge.inParts) this.#replaceInParts(step, columns);
    else this.table.replaceChunks(step.from, step.to, columns);
  }

  /** Replaces all chunks that are not after the old ones at once, then one by one. */
  #replaceInParts({ from, to }: MergeStep, columns: readonly Columns[]): void {
    const oldLast = this.#layout[to - 1]?.at(-1)?.key ?? -1n;
    const behind = columns.filter(({ firstKey }) => firstKey > oldLast);
    const first = columns.slice(0, Math.max(1, columns.length - behind.length));
    if (first.length > 0) this.table.replaceChunks(from, to, first, false);
    const start = first.length > 0 ? to : from;
    for (const one of columns.slice(first.length)) {
      this.check([...this.#model.keys(), ...this.#frozenTouched]);
      this.table.replaceChunks(to, to, [one], false);
    }
    this.check([...this.#model.keys(), ...this.#frozenTouched]);
    this.table.replaceChunks(start, to, []);
  }

  endMerge(): void {
    const merge = this.#merge;
    if (merge === undefined) return;
    while (merge.next < merge.steps.length) this.stepMerge();
    this.table.dropFrozen(merge.contentHash);
    this.#layout = merge.layout;
    this.#frozenTouched = new Set();
    this.#merge = undefined;
    strictEqual(this.table.frozenLayers, 0);
  }

  failMerge(): void {
    this.#merge = undefined;
  }

  takeView(): void {
    this.#views.push({ view: this.table.view(), model: new Map(this.#model) });
  }

  /** Starts to compute the content hash of this moment. */
  startCount(): void {
    const count = this.table.countContent();
    strictEqual(count.recordCount, this.#model.size);
    const expected = contentHashOf(this.#model.values());
    this.#counts.push({ count, expected, isDone: false });
  }

  /** Continues the computation by some steps. */
  continueCounts(steps: number): void {
    for (const one of this.#counts) {
      for (let i = 0; i < steps && !one.isDone; i++) one.isDone = !one.count.step();
      if (!one.isDone) continue;
      strictEqual(contentHashText(one.count.value), one.expected);
      this.table.keepContent(one.count);
    }
    this.#counts.splice(0, Infinity, ...this.#counts.filter(({ isDone }) => !isDone));
  }

  get #contentHash(): bigint {
    return BigInt(`0x${contentHashOf(this.#model.values())}`);
  }

  startIteration(range: RangeOptions): void {
    const expected = select(this.#model, checkRange(range));
    this.#iterations.push({ left: this.table.entries(range), expected });
  }

  /** Continues all open iterations by some entries. */
  continueIterations(count: number): void {
    for (const iteration of this.#iterations) {
      for (let i = 0; i < count; i++) {
        const next = iteration.left.next();
        deepStrictEqual(next.value, iteration.expected.shift());
        if (next.done === true) break;
      }
    }
  }

  checkViews(range: RangeOptions): void {
    for (const { view, model } of this.#views) {
      const expected = select(model, checkRange(range));
      deepStrictEqual([...view.entries(range)], expected);
      deepStrictEqual(
        [...view.keys(range)],
        expected.map(([key]) => key),
      );
      deepStrictEqual(
        [...view.values(range)],
        expected.map(([, record]) => record),
      );
    }
  }

  check(keys: Iterable<bigint>): void {
    strictEqual(this.table.size, this.#model.size);
    for (const key of keys) {
      const record = this.#model.get(key);
      const expected = record && new StoredRecord(record.value, record.data);
      deepStrictEqual(this.table.get(key), expected);
      strictEqual(this.table.has(key), expected !== undefined);
      const [low, high] = [Number(key & 0xffff_ffffn), Number(key >> 32n)];
      this.table.readValue(low, high, u64Halves, 0);
      strictEqual(joinedHalves(), expected?.value ?? 0n);
      const lengthBytes = expected?.data.length ?? NO_RECORD;
      strictEqual(this.table.readData(low, high, this.#target, 1), lengthBytes);
      if (expected === undefined || lengthBytes >= this.#target.length) continue;
      deepStrictEqual(this.#target.slice(1, 1 + lengthBytes), expected.data);
      if (key <= BigInt(Number.MAX_SAFE_INTEGER)) {
        deepStrictEqual(this.table.get(Number(key)), expected);
        strictEqual(this.table.has(Number(key)), expected !== undefined);
      }
    }
  }

  /** Gets every record and some keys near them, until there were `count` gets. */
  getOften(count: number): void {
    if (this.#model.size === 0) return;
    for (let done = 0; done < count;) {
      for (const [key, { value, data }] of this.#model) {
        deepStrictEqual(this.table.get(key), new StoredRecord(value, data));
        const next = BigInt.asUintN(64, key + 1n);
        const expected = this.#model.get(next);
        strictEqual(this.table.get(next)?.value, expected?.value);
        if (++done === count) return;
      }
    }
  }

  /** Checks a scan between the values of two records. */
  checkValues(): void {
    const values = [...this.#model.values()].map(({ value }) => value);
    const [one, other] = [values[Math.floor(values.length / 3)] ?? 1n, values.at(-1) ?? 1n];
    const [lowest, highest] = one < other ? [one, other] : [other, one];
    const scan = this.table.view().scanValues({ lowest, highest });
    const found: bigint[] = [];
    for (let batch = scan.step(); batch !== undefined; batch = scan.step()) {
      found.push(...batch.map(([key]) => key));
    }
    const isIn = ({ value }: TestRecord): boolean => value >= lowest && value <= highest;
    const expected = [...this.#model.values()].filter(isIn).map(({ key }) => key);
    deepStrictEqual(new Set(found), new Set(expected));
    strictEqual(found.length, expected.length);
  }

  checkAll(): void {
    this.takeView();
    this.startCount();
    this.continueCounts(Infinity);
    this.continueIterations(1_000_000);
    this.checkViews({});
    this.checkViews({ reverse: true });
    this.checkValues();
    this.check(this.#model.keys());
  }

  #accept(row: TestRow): void {
    this.#touched.add(row.key);
    this.#apply(row);
  }

  #apply(row: TestRow): void {
    if (row.value === 0n) this.#model.delete(row.key);
    else this.#model.set(row.key, recordOf(row));
  }

  #planSteps(insertsGaps: boolean): MergeStep[] {
    const steps: MergeStep[] = [];
    const records = sortRecords([...this.#model.values()]);
    const add = (from: number, to: number, lowest: bigint, end: bigint): void => {
      const isIn = (key: bigint): boolean => key >= lowest && key < end;
      const isTouched = [...this.#frozenTouched].some(isIn);
      if (from === to && !isTouched) return;
      steps.push({ from, to, records: records.filter(({ key }) => isIn(key)), isTouched });
    };
    let lowest = 0n;
    this.#layout.forEach((chunk, i) => {
      const following = this.#layout[i + 1]?.at(0)?.key ?? 1n << 64n;
      if (insertsGaps) {
        const first = chunk.at(0)?.key ?? 0n;
        add(i, i, lowest, first);
        const end = (chunk.at(-1)?.key ?? 0n) + 1n;
        add(i, i + 1, first, end);
        lowest = end;
      } else {
        add(i, i + 1, lowest, following);
        lowest = following;
      }
    });
    if (insertsGaps || this.#layout.length === 0) {
      add(this.#layout.length, this.#layout.length, lowest, 1n << 64n);
    }
    return steps;
  }
}

function recordOf(row: TestRow): TestRecord {
  return { key: row.key, value: row.value, data: row.data ?? new Uint8Array(0) };
}

function lastOfEachKey(records: readonly TestRecord[]): TestRecord[] {
  return [...new Map(records.map((record) => [record.key, record])).values()];
}

function sortRecords(records: readonly TestRecord[]): TestRecord[] {
  return records.toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

function layoutOf(records: readonly TestRecord[], chunkRecords: number): TestRecord[][] {
  const layout: TestRecord[][] = [];
  for (let i = 0; i < records.length; i += chunkRecords) {
    layout.push(records.slice(i, i + chunkRecords));
  }
  return layout;
}

function select(model: Model, range: KeyRange): [bigint, { value: bigint; data: Uint8Array }][] {
  const inside = sortRecords([...model.values()]).filter(
    ({ key }) => key >= range.lowest && key <= range.highest,
  );
  if (range.reverse) inside.reverse();
  return inside
    .slice(0, range.limit)
    .map(({ key, value, data }) => [key, new StoredRecord(value, data)]);
}
