import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { isLackOfSpace } from '../../src/base/errors.ts';
import { MetadataStore, StoreFullError, type StoreError } from '../../src/index.ts';
import { faultBatch, judge } from './fault-batches.ts';
import { LoopMount, whyNot, writeBallast } from './mounts.ts';
import type { Report } from './report.ts';
import { attempt, hasTool, inTemporary, isRoot, must, program, run } from './shell.ts';

const MIB = 1024 * 1024;
const SIZE_MIB = { ext4: 32, xfs: 320, btrfs: 128 };

export async function fullFileSystems(report: Report): Promise<void> {
  if (!isRoot) return report.skip('all', 'mounting needs root');
  await inTemporary(async (directory) => {
    const path = join(directory, 'tmpfs');
    mkdirSync(path);
    must('mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', path);
    try {
      report.check('tmpfs', await fillAndFree(path, 2 * MIB));
      rmSync(join(path, 'store'), { recursive: true });
      report.check('tmpfs, with a reserve', await deleteOnFullDisk(path));
    } finally {
      attempt('umount', '--lazy', path);
    }
  });
  for (const name of ['ext4', 'xfs', 'btrfs'] as const) {
    const why = whyNot(name);
    if (why !== undefined) report.skip(name, why);
    else {
      await inTemporary(async (directory) => {
        const mount = LoopMount.make(name, directory, SIZE_MIB[name]);
        try {
          const free = Number(must('df', '--output=avail', '-B1', mount.path).split('\n')[1]);
          writeBallast(join(mount.path, 'taken'), Math.max(0, free - 20 * MIB));
          report.check(name, await fillAndFree(mount.path, 6 * MIB));
          rmSync(join(mount.path, 'store'), { recursive: true });
          report.check(`${name}, with a reserve`, await deleteOnFullDisk(mount.path));
        } finally {
          mount.discard();
        }
      });
    }
  }
}

/**
 * Writes until the disk is full, checks that reads work, frees space, and continues to write.
 * Returns what was wrong.
 */
async function fillAndFree(path: string, ballastBytes: number): Promise<string | undefined> {
  const ballast = join(path, 'ballast');
  writeBallast(ballast, ballastBytes);
  const directory = join(path, 'store');
  const store = await MetadataStore.open(directory);
  const lines: string[] = [];
  let number = 0;
  const write = async (): Promise<StoreError | undefined> => {
    const batch = number++;
    try {
      await store.insertBatch(faultBatch(batch, 20_000));
      lines.push(`ack ${batch}`);
      return undefined;
    } catch (error) {
      lines.push(`rejected ${batch} ${(error as StoreError).outcome}`);
      return error as StoreError;
    }
  };
  let refusal: StoreError | undefined;
  for (let i = 0; i < 1000 && refusal === undefined; i++) refusal = await write();
  // A full btrfs may also refuse to truncate a file. The outcome is then unknown, and only a reopen
  // helps.
  if (refusal?.outcome === 'unknown' && isLackOfSpace(refusal.cause)) {
    await store.close();
    rmSync(ballast);
    return judge(directory, lines);
  }
  if (!(refusal instanceof StoreFullError)) return `no StoreFullError but ${inspect(refusal)}`;
  if (refusal.outcome !== 'not-applied') return `the outcome is ${refusal.outcome}`;
  const acknowledged = lines.length - 1;
  if (store.size !== 6 * acknowledged) return 'records are missing while the disk is full';
  for (let i = 0; i < 5; i++) await write();
  rmSync(ballast);
  for (let i = 0; i < 3; i++) {
    const error = await write();
    if (error !== undefined) return `no write after there was room again: ${String(error)}`;
  }
  await store.close();
  return judge(directory, lines);
}

/**
 * Fills the disk to the last byte, deletes in the space of the reserve, frees space, and continues
 * to write. Returns what was wrong.
 */
async function deleteOnFullDisk(path: string): Promise<string | undefined> {
  const directory = join(path, 'store');
  const store = await MetadataStore.open(directory, { reserveFileBytes: MIB });
  const acknowledged: number[] = [];
  const write = (batch: number): Promise<StoreError | undefined> =>
    outcomeOf(store.insertBatch(faultBatch(batch, 20_000)).then(() => acknowledged.push(batch)));
  await write(0);
  while (store.stats().space.reserveFile !== 'kept') {
    await new Promise((resume) => setImmediate(resume));
  }
  const ballast = join(path, 'ballast');
  fillWith(ballast);
  let refusal: StoreError | undefined;
  for (let batch = 1; batch < 1000 && refusal === undefined; batch++) refusal = await write(batch);
  // As above: the reserve only helps if the disk can truncate a file.
  if (refusal?.outcome === 'unknown' && isLackOfSpace(refusal.cause)) {
    await store.close();
    return undefined;
  }
  if (!(refusal instanceof StoreFullError)) return `no StoreFullError but ${inspect(refusal)}`;
  fillWith(ballast);
  const keys = [...store.keys()];
  for (const key of keys.slice(0, 3)) {
    const error = await outcomeOf(store.insertBatch([{ type: 'del', key }]));
    if (error !== undefined) return `no delete on the full disk: ${inspect(error)}`;
  }
  rmSync(ballast);
  const error = await write(2000);
  if (error !== undefined) return `no write after there was room again: ${inspect(error)}`;
  if (store.stats().space.reserveFile !== 'kept') return 'the reserve was not made again';
  await store.close();
  const again = await MetadataStore.open(directory, { readOnly: true });
  const expected = 6 * acknowledged.length - 3;
  await again.close();
  return again.recovery.records === expected
    ? undefined
    : `${again.recovery.records} records are there, not ${expected}`;
}

async function outcomeOf(promise: Promise<unknown>): Promise<StoreError | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => error as StoreError,
  );
}

/** Appends to a file that takes all remaining space from now on. */
function fillWith(path: string): void {
  const file = openSync(path, 'a');
  try {
    for (let lengthBytes = MIB; lengthBytes >= 512;) {
      try {
        writeSync(file, Buffer.alloc(lengthBytes, 0xb5));
        fdatasyncSync(file);
      } catch (error) {
        if (!isLackOfSpace(error)) throw error;
        lengthBytes /= 2;
      }
    }
  } finally {
    closeSync(file);
  }
}

/** Four batches of 54,000 bytes are one group, for which a log has room from this limit on. */
const LIMIT_OF_FURTHER_LOGS_BYTES = 300_000;

export async function fileSizeLimit(report: Report): Promise<void> {
  if (!hasTool('prlimit')) return report.skip('all', 'there is no prlimit');
  for (const limitBytes of [50_000, 100_000, 300_000]) {
    await inTemporary(async (directory) => {
      const store = join(directory, 'store');
      const args = [`--fsize=${limitBytes}`, process.execPath];
      const ran = await run('prlimit', [
        ...args,
        ...program('./fault-writer.ts', store, '0', '9000'),
      ]);
      const what = `files of at most ${limitBytes} bytes`;
      if (ran.signal !== null) report.fail(what, `the process died of ${ran.signal}`);
      const refused = ran.lines.filter((line) =>
        /^rejected \d+ not-applied LODESTORE_FULL/.test(line),
      );
      const isRefused = ran.lines.some((line) => line.startsWith('refused LODESTORE'));
      // A group of this length has its place in a further log; the snapshot of a merge has none.
      const isRoomForLogs = limitBytes >= LIMIT_OF_FURTHER_LOGS_BYTES;
      const isMergeRefused = ran.lines.includes('merge LODESTORE_FULL');
      report.check(
        isRoomForLogs
          ? `${what}: batches go to further logs, a merge is refused`
          : `${what}: writes are refused`,
        (isRoomForLogs ? refused.length === 0 && isMergeRefused : refused.length > 0 || isRefused)
          ? undefined
          : ran.lines.join(', '),
      );
      report.check(`${what}: reopening without`, await judge(store, ran.lines));
      report.note(`${what}: ${refused.length} batches refused, ${ran.lines.at(-1)}`);
    });
  }
}
