import { expect, test } from 'vitest';
import type { Columns } from '../../src/format/columns.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { RunCursor } from '../../src/runs/run-cursor.ts';
import type { Job, JobResult } from '../../src/jobs/run-job.ts';
import { foldLoaded, loadLogs } from '../../src/store/recovery/load-logs.ts';
import { ProgressMeter } from '../../src/store/recovery/progress-meter.ts';
import type { RecoveryContext } from '../../src/store/recovery/recovery-context.ts';
import { InlineRunner, type JobRunner, type RunOptions } from '../../src/threads/job-runner.ts';
import { readOnlyFiles } from '../support/read-only-files.ts';
import type { TestRow } from '../support/rows.ts';
import { logOf, STORE_ID } from '../support/small-directory.ts';

/** Runs jobs here, as if there were threads, and notes them. */
class NotingRunner implements JobRunner {
  readonly parallelism: number;
  readonly jobs: Job[] = [];
  readonly #inline: InlineRunner;

  constructor(inline: InlineRunner, parallelism: number) {
    this.#inline = inline;
    this.parallelism = parallelism;
  }

  run<J extends Job>(job: J, options?: RunOptions): Promise<JobResult<J>> {
    this.jobs.push(job);
    return this.#inline.run(job, options);
  }

  close(): Promise<void> {
    return this.#inline.close();
  }

  count(kind: Job['kind']): number {
    return this.jobs.filter((job) => job.kind === kind).length;
  }
}

async function load(
  logs: readonly Uint8Array[],
  parallelism: number,
  wrap: (fs: FileSystem) => FileSystem = (fs) => fs,
): Promise<{ runner: NotingRunner; records: string[]; endings: unknown[] }> {
  const files = new Map(logs.map((bytes, i) => [`log${i + 1}`, bytes]));
  const fs = wrap(readOnlyFiles(files));
  const runner = new NotingRunner(new InlineRunner(fs), parallelism);
  const { signal } = new AbortController();
  const progress = new ProgressMeter(undefined);
  const context: RecoveryContext = {
    fs,
    directory: '/',
    runner,
    signal,
    progress,
    pieceBytes: 2_400,
  };
  const listed = logs.map((bytes, i) => ({
    number: i + 1,
    path: `/log${i + 1}`,
    sizeBytes: bytes.length,
  }));
  const loaded = await loadLogs(context, listed, STORE_ID);
  const run = await foldLoaded(context, loaded.runs);
  const endings = loaded.logs.map(({ scan }) => ({ ...scan, pieces: 0 }));
  return { runner, records: recordsIn(run), endings };
}

function recordsIn(run: readonly Columns[]): string[] {
  const records: string[] = [];
  for (const cursor = new RunCursor(run); !cursor.done; cursor.next()) {
    records.push(`${cursor.keyHigh} ${cursor.keyLow} ${cursor.valueLow} ${cursor.dataLength}`);
  }
  return records;
}

/** Groups of ten rows each, whose data no compression makes shorter. */
function log(
  number: number,
  keyAt: (i: number) => number,
): Promise<{ readonly bytes: Uint8Array }> {
  const groups = Array.from({ length: 40 }, (_, group) => [
    Array.from({ length: 10 }, (__, row): TestRow => {
      const i = 10 * group + row;
      const data = Uint8Array.from({ length: i % 23 }, (___, k) => (i * 31 + k * k * 17) % 251);
      return { key: BigInt(keyAt(i)), value: BigInt(i + 1 + 1_000 * number), data };
    }),
  ]);
  return logOf({ number, groups, seal: 'rides', zerosBehind: 700 });
}

const ascending = (i: number): number => 3 * i;
const turning = (i: number): number => (i < 200 ? 3 * i : 3 * (500 - i));
const scattered = (i: number): number => (i * 7_919) % 400;

for (const [name, keyAt, isCut] of [
  ['ascending keys', ascending, true],
  ['keys that ascend at first', turning, true],
  ['keys in any order', scattered, false],
] as const) {
  test(`${name}: shared or not, the same is read`, async () => {
    const { bytes } = await log(1, keyAt);
    const alone = await load([bytes], 1);
    const shared = await load([bytes], 2);
    expect(alone.runner.count('load-log')).toBe(1);
    expect(alone.runner.count('load-log-piece')).toBe(0);
    expect(shared.runner.count('load-log-piece') > 1).toBe(isCut);
    expect(shared.records).toEqual(alone.records);
    expect(shared.endings).toEqual(alone.endings);
  });
}

test('a damaged log is found as it is', async () => {
  const { bytes } = await log(1, ascending);
  const damaged = bytes.slice();
  damaged[bytes.length >> 1]! ^= 1;
  const alone = await load([damaged], 1);
  const shared = await load([damaged], 2);
  expect(shared.endings).toEqual(alone.endings);
  expect(shared.endings).toMatchObject([{ ending: { kind: 'broken' } }]);
  expect(shared.records).toEqual(alone.records);
});

test('runs that follow one another are not folded, others are, newest last', async () => {
  const first = await log(1, ascending);
  const behind = await log(2, (i) => 10_000 + i);
  const across = await log(2, (i) => 3 * i + (i % 2));
  const apart = await load([first.bytes, behind.bytes], 2);
  expect(apart.runner.count('fold-logs')).toBe(0);
  expect(apart.records).toHaveLength(800);
  const mixed = await load([first.bytes, across.bytes], 2);
  expect(mixed.runner.count('fold-logs')).toBe(1);
  expect(mixed.records).toEqual((await load([first.bytes, across.bytes], 1)).records);
  expect(mixed.records).toContain('0 6 2003 2');
});

/** Notes how many files are open at a time. */
function countingFiles(fs: FileSystem, counts: { open: number; most: number }): FileSystem {
  return {
    ...fs,
    open: async (path, mode) => {
      const file = await fs.open(path, mode);
      counts.most = Math.max(counts.most, ++counts.open);
      const close = async (): Promise<void> => {
        counts.open--;
        await file.close();
      };
      return { ...file, close };
    },
  };
}

test('however many logs there are, only a few are open at a time', async () => {
  const { bytes } = await log(1, ascending);
  const counts = { open: 0, most: 0 };
  const many = Array.from({ length: 300 }, () => bytes);
  await load(many, 1, (fs) => countingFiles(fs, counts));
  expect(counts).toEqual({ open: 0, most: 2 });
});
