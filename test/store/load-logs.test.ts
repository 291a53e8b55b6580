import { expect, test } from 'vitest';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { RowBlocks } from '../../src/table/replayed/row-blocks.ts';
import { ENTRY_WORDS, type RowPiece } from '../../src/replay/row-piece.ts';
import type { Job, JobResult } from '../../src/jobs/run-job.ts';
import { loadLogs } from '../../src/store/recovery/load-logs.ts';
import { ProgressMeter } from '../../src/store/recovery/progress-meter.ts';
import type { RecoveryContext } from '../../src/store/recovery/recovery-context.ts';
import { InlineRunner, type JobRunner, type JobOptions } from '../../src/threads/job-runner.ts';
import { readOnlyFiles } from '../support/read-only-files.ts';
import type { TestRow } from '../support/rows.ts';
import { logOf, STORE_ID } from '../support/small-directory.ts';

/** Runs jobs inline, as if there were threads, and records them. */
class NotingRunner implements JobRunner {
  readonly parallelism: number;
  readonly jobs: Job[] = [];
  readonly #inline: InlineRunner;

  constructor(inline: InlineRunner, parallelism: number) {
    this.#inline = inline;
    this.parallelism = parallelism;
  }

  run<J extends Job>(job: J, options?: JobOptions): Promise<JobResult<J>> {
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

const PIECE_BYTES = 2_400;

interface Loaded {
  readonly runner: NotingRunner;
  readonly records: string[];
  readonly rowCount: number;
  readonly endings: unknown[];
}

async function load(
  logs: readonly Uint8Array[],
  parallelism: number,
  sizes: {
    readonly pieceBytes?: number;
    readonly lookBytes?: number;
    readonly layerBlocks?: number;
  } = {},
  wrap: (fs: FileSystem) => FileSystem = (fs) => fs,
): Promise<Loaded> {
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
    pieceBytes: PIECE_BYTES,
    ...sizes,
  };
  const listed = logs.map((bytes, i) => ({
    number: i + 1,
    path: `/log${i + 1}`,
    sizeBytes: bytes.length,
  }));
  const loaded = await loadLogs(context, listed, STORE_ID);
  const endings = loaded.logs.map(({ scan }) => ({ ...scan, pieces: 0 }));
  const rowCount = loaded.pieces.reduce((sum, piece) => sum + piece.rowCount, 0);
  return { runner, records: recordsIn(loaded.pieces), rowCount, endings };
}

/** The newest row of each key. */
function recordsIn(pieces: readonly RowPiece[]): string[] {
  const newest = new Map<string, string>();
  for (const { entries, buffers } of pieces) {
    const blocks = new RowBlocks(buffers);
    for (let at = 0; at < entries.length; at += ENTRY_WORDS) {
      const [low, high, position] = entries.subarray(at, at + ENTRY_WORDS);
      const { value, data } = blocks.recordAt(position!);
      newest.set(`${high} ${low}`, `${high} ${low} ${value} ${data.length}`);
    }
  }
  return [...newest.values()].sort();
}

/** Groups of ten rows each, with incompressible data. */
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
  return logOf({ number, groups, seal: 'piggybacked', zerosBehind: 700 });
}

const ascending = (i: number): number => 3 * i;
const turning = (i: number): number => (i < 200 ? 3 * i : 3 * (500 - i));
const scattered = (i: number): number => (i * 7_919) % 400;

for (const [name, keyAt] of [
  ['ascending keys', ascending],
  ['keys that ascend at first', turning],
  ['keys in any order', scattered],
] as const) {
  test(`${name}: pieces give the same rows as the whole log`, async () => {
    const { bytes } = await log(1, keyAt);
    const whole = await load([bytes], 1, { pieceBytes: bytes.length });
    const cut = await load([bytes], 2);
    expect(whole.runner.count('load-log-piece')).toBe(0);
    expect(cut.runner.count('load-log-piece')).toBe(Math.ceil(bytes.length / PIECE_BYTES));
    expect(cut.records).toEqual(whole.records);
    expect(cut.endings).toEqual(whole.endings);
  });
}

test('rows of hot keys are searched and packed while they arrive', async () => {
  // Each log has separate keys, so rows dropped from an earlier log do not reappear.
  const made = await Promise.all([1, 2, 3].map((n) => log(n, (i) => 100 * n + (i % 7))));
  const logs = made.map(({ bytes }) => bytes);
  const plain = await load(logs, 2);
  expect(plain.runner.count('weigh-rows')).toBe(0);
  const packed = await load(logs, 2, { lookBytes: 5_000 });
  expect(packed.runner.count('pack-rows')).toBeGreaterThan(0);
  expect(packed.records).toEqual(plain.records);
  expect(packed.rowCount).toBeLessThan(plain.rowCount / 2);
  const inParts = await load(logs, 2, { lookBytes: 5_000, layerBlocks: 2 });
  expect(inParts.records).toEqual(plain.records);
  const distinct = await load([(await log(1, (i) => i ^ 1)).bytes], 2, { lookBytes: 5_000 });
  expect(distinct.runner.count('weigh-rows')).toBeGreaterThan(0);
  expect(distinct.runner.count('pack-rows')).toBe(0);
  const apart = await load([(await log(1, ascending)).bytes], 2, { lookBytes: 5_000 });
  expect(apart.runner.count('weigh-rows')).toBe(0);
  expect(apart.runner.count('pack-rows')).toBe(0);
});

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

test('the row in the later log wins for a key in two logs', async () => {
  const first = await log(1, ascending);
  const across = await log(2, (i) => 3 * i + (i % 2));
  const { records } = await load([first.bytes, across.bytes], 2);
  expect(records).toHaveLength(600);
  expect(records).toContain('0 6 2003 2');
});

/** Counts concurrently open files. */
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

test('only a few of many logs are open at a time', async () => {
  const { bytes } = await log(1, ascending);
  const counts = { open: 0, most: 0 };
  const many = Array.from({ length: 300 }, () => bytes);
  await load(many, 1, {}, (fs) => countingFiles(fs, counts));
  expect(counts).toEqual({ open: 0, most: 2 });
});
