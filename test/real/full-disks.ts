import { mkdirSync, rmSync } from 'node:fs';
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
        } finally {
          mount.discard();
        }
      });
    }
  }
}

/**
 * Writes until the disk is full, finds out that reads go on, makes room, and writes on. Returns what was
 * wrong.
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
  // A btrfs that is full may refuse to cut a file, too: then nobody knows, and only reopening helps.
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
      report.check(
        `${what}: writes are refused`,
        refused.length > 0 || isRefused ? undefined : ran.lines.join(', '),
      );
      report.check(`${what}: reopening without`, await judge(store, ran.lines));
      report.note(`${what}: ${refused.length} batches refused, ${ran.lines.at(-1)}`);
    });
  }
}
