/**
 * `npm run test:node -- --minutes N`: a node in a separate process under load, with compaction,
 * kills, flipped bytes and a disk that becomes full, for the given time. It has a plain bucket, a
 * compressed one, one with deferred acknowledgement, and one with a quota; uploads in parts are
 * completed, aborted, or left by a kill. After each round, everything acknowledged is compared byte
 * for byte, the listings with it, and live bytes are recounted; the deferred bucket must have a
 * prefix of what it has acknowledged, which lacks no more than that of the last second, and the
 * bucket with a quota its newest objects.
 *
 * As root, the disk is a tmpfs of `--disk-bytes`, so that it really becomes full; where it cannot
 * be mounted, or with 0, it is a directory. `--pause-ms` between two steps of a client reduces the
 * load.
 */
import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, fdatasyncSync, mkdirSync, mkdtempSync, openSync } from 'node:fs';
import { rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { flip } from './soak-flips.ts';
import type { RoundEnd } from './soak-deferred.ts';
import { SoakLedger } from './soak-ledger.ts';
import { NO_COUNTS, SOAK_OPTIONS } from './soak-report.ts';
import type { Mix, Report, SoakCounts } from './soak-report.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    directory: { type: 'string' },
    'disk-bytes': { type: 'string', default: String(96 * 2 ** 20) },
    'pause-ms': { type: 'string', default: '0' },
  },
});
/** A node that takes longer to open, or to end after a kill, hangs. */
const MOST_MS = 120_000;
/** As `MOST_MS`, for loading the modules, which is slow where others have the CPU. */
const MOST_LOAD_MS = 600_000;
const REPORT_ROUNDS = 20;
const directory = values.directory ?? mkdtempSync(join(tmpdir(), 'lodestore-node-soak-'));
const isMounted = values['disk-bytes'] !== '0' && mountDisk(`size=${values['disk-bytes']}`);
const data = join(directory, 'data');
const ballastPath = join(directory, 'ballast');
const counts: SoakCounts = { ...NO_COUNTS };
const ledger = new SoakLedger(counts);
let running: ChildProcess | undefined;

const pauseMs = Number(values['pause-ms']);
/** In turn: fills the disk, empties it, works on. */
const MIXES: readonly Mix[] = [
  { deletes: 0.35, large: 0.1, pauseMs },
  { deletes: 0.02, large: 0.6, pauseMs: 0 },
  { deletes: 0.5, large: 0.2, pauseMs },
  { deletes: 0.8, large: 0.1, pauseMs },
];

function mountDisk(size: string): boolean {
  mkdirSync(directory, { recursive: true });
  try {
    const stdio = 'pipe';
    const name = 'lodestore-node-soak';
    execFileSync('mount', ['-t', 'tmpfs', '-o', size, name, directory], { stdio });
    return true;
  } catch (error) {
    process.stderr.write(`no full disk: ${(error as Error).message.trim()}\n`);
    return false;
  }
}

/** Takes all remaining space of the disk. */
function takeAll(): void {
  const file = openSync(ballastPath, 'a');
  try {
    for (let lengthBytes = 2 ** 20; lengthBytes >= 4096;) {
      try {
        writeSync(file, Buffer.alloc(lengthBytes, 'b'));
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'ENOSPC') throw error;
        lengthBytes /= 2;
      }
    }
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
}

function bounded<T>(promise: Promise<T>, what: string, mostMs = MOST_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} takes more than ${mostMs} ms`)), mostMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function opened<T>(opening: Promise<T>, what: string): Promise<T> {
  const startedMs = Date.now();
  const result = await bounded(opening, what);
  counts.longestOpenMs = Math.max(counts.longestOpenMs, Date.now() - startedMs);
  return result;
}

/** Lets the child work for a while and kills it. */
async function round(milliseconds: number, mix: Mix, isFilledUp: boolean): Promise<RoundEnd> {
  const child: ChildProcess = fork(fileURLToPath(new URL('./soak-child.ts', import.meta.url)), {
    env: { ...process.env, SOAK_DATA: data, SOAK_MIX: JSON.stringify(mix) },
    execArgv: process.execArgv,
  });
  running = child;
  let failure: unknown;
  // Messages sent before the kill can arrive after `exit`.
  const drained = new Promise((resolve) => child.once('disconnect', resolve));
  const closed = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let isStarted = (): void => {};
  const started = new Promise<void>((resolve) => (isStarted = resolve));
  const ready = new Promise<void>((resolve) => {
    child.on('message', (report: Report) => {
      if (report.type === 'started') isStarted();
      if (report.type === 'ready') resolve();
      try {
        ledger.take(report);
      } catch (error) {
        failure ??= error;
      }
    });
  });
  await bounded(Promise.race([started, closed]), 'loading the modules', MOST_LOAD_MS);
  await opened(Promise.race([ready, closed]), 'opening the node');
  let killedMs = Date.now();
  const timers = [
    setTimeout(() => {
      counts.kills++;
      killedMs = Date.now();
      child.kill('SIGKILL');
    }, milliseconds),
  ];
  if (isFilledUp) timers.push(setTimeout(takeAll, milliseconds / 2));
  const code = await bounded(closed, 'the round');
  await bounded(drained, 'the end of the round');
  for (const timer of timers) clearTimeout(timer);
  running = undefined;
  if (failure !== undefined) throw failure;
  if (code !== null && code !== 0) throw new Error(`the node ended with ${code}`);
  counts.rounds++;
  return { killedMs, slowestMs: ledger.slowestMs(killedMs), isFilledUp };
}

/** `end`: of the round before; undefined: the node was closed since. */
async function check(end?: RoundEnd): Promise<void> {
  const node = await opened(
    StorageNode.open(data, { ...SOAK_OPTIONS, upkeepMs: 0 }),
    'opening the node for the check',
  );
  try {
    await ledger.check(node, end);
  } finally {
    await node.close();
  }
}

const PROGRESS = [
  'compacted',
  'compressedAcknowledged',
  'deferredAcknowledged',
  'uploadsCompleted',
  'uploadsAborted',
  'evicted',
  'newestKept',
] as const;

/**
 * A node that does not free space any more refuses every body, and then nothing it acknowledged is
 * lost: each few rounds must have emptied volumes, evicted and stored objects.
 */
function requireProgress(before: SoakCounts): void {
  for (const what of PROGRESS) {
    if (counts[what] > before[what]) continue;
    throw new Error(`"${what}" is ${counts[what]} for ${REPORT_ROUNDS} rounds`);
  }
}

async function soak(endMs: number): Promise<void> {
  let before: SoakCounts = { ...counts };
  for (let number = 1; Date.now() < endMs; number++) {
    const isFilledUp = isMounted && number % 4 === 3;
    const lengthMs = 1_000 + ((number * 7919) % 4_000);
    const end = await round(lengthMs, MIXES[number % MIXES.length]!, isFilledUp);
    // Of a disk that was filled up, first unchanged: without a free byte.
    await check(end);
    if (existsSync(ballastPath)) {
      counts.fullOpens++;
      rmSync(ballastPath);
      await check();
    } else if (number % 2 === 0) {
      await flip(data, ledger, counts);
      await check();
    }
    if (number % REPORT_ROUNDS > 0) continue;
    process.stderr.write(`${JSON.stringify(counts)}\n`);
    requireProgress(before);
    before = { ...counts };
  }
}

function cleanUp(): void {
  running?.kill('SIGKILL');
  if (isMounted) execFileSync('umount', ['--lazy', directory]);
  rmSync(directory, { recursive: true, force: true });
}

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    cleanUp();
    process.exit(1);
  });
}
try {
  await soak(Date.now() + 60_000 * Number(values.minutes));
  process.stdout.write(`${JSON.stringify(counts)}\n`);
} finally {
  cleanUp();
}
