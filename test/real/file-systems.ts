import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { judgeCrash, LoadedWriter } from './loaded-writer.ts';
import { FILE_SYSTEMS, LoopMount, whyNot, writeBallast, type FileSystemName } from './mounts.ts';
import type { Report } from './report.ts';
import { attempt, hasTool, inTemporary, isRoot, must } from './shell.ts';

const MIB = 1024 * 1024;
const SIZE_MIB: Record<FileSystemName, number> = { ext4: 96, xfs: 320, btrfs: 320 };

export async function crashFileSystems(report: Report, rounds: number): Promise<void> {
  for (const name of FILE_SYSTEMS) {
    const why = whyNot(name);
    if (why !== undefined) {
      report.skip(name, why);
      continue;
    }
    await cutOff(report, name, rounds);
    await shutDown(report, name, rounds);
  }
}

/** A random number of batches to wait for. */
function someBatches(): number {
  return 1 + Math.floor(Math.random() * 800);
}

/**
 * The image at one moment under load, without what the kernel had not yet sent to it. For a
 * consistent copy, the file system that contains the image is frozen, which stops the device.
 */
async function cutOff(report: Report, name: FileSystemName, rounds: number): Promise<void> {
  const why = whyNot('ext4') ?? (hasTool('fsfreeze') ? undefined : 'there is no fsfreeze');
  if (why !== undefined) return report.skip(`${name}: the device at a moment`, why);
  await inTemporary(async (directory) => {
    const outer = LoopMount.make('ext4', directory, SIZE_MIB[name] + 64);
    const inner = LoopMount.make(name, outer.path, SIZE_MIB[name]);
    try {
      for (let round = 1; round <= rounds; round++) {
        const writer = new LoadedWriter(join(inner.path, 'store'));
        await writer.wait(someBatches());
        const { acknowledged } = writer;
        must('fsfreeze', '--freeze', outer.path);
        const copy = join(directory, 'copy.image');
        try {
          copyFileSync(inner.image, copy);
        } finally {
          must('fsfreeze', '--unfreeze', outer.path);
        }
        await writer.kill();
        const what = `${name}: the device at a moment, round ${round}, after batch ${acknowledged}`;
        report.check(`${what}: the writer`, writer.problem);
        const seen = await judgeCrash(join(inner.path, 'store'), writer.acknowledged);
        report.check(`${what}: after the kill alone`, seen);
        // Two file systems with one id cannot be mounted at the same time.
        inner.unmount();
        report.check(what, await judgeImage(name, copy, join(directory, 'copy'), acknowledged));
        inner.mount();
      }
      report.note(`${name}: ${rounds} × power failure under load`);
    } finally {
      inner.discard();
      outer.discard();
    }
  });
}

async function judgeImage(
  name: FileSystemName,
  image: string,
  path: string,
  acknowledged: number,
): Promise<string | undefined> {
  const mount = LoopMount.of(name, image, path);
  try {
    return await judgeCrash(join(path, 'store'), acknowledged);
  } finally {
    mount.discard();
  }
}

/** Stops the file system at once with an ioctl, then mounts it again. */
async function shutDown(report: Report, name: FileSystemName, rounds: number): Promise<void> {
  const what = `${name}: emergency stop`;
  if (!hasTool('xfs_io')) return report.skip(what, 'there is no xfs_io');
  await inTemporary(async (directory) => {
    const mount = LoopMount.make(name, directory, SIZE_MIB[name]);
    let stops = 0;
    try {
      for (let round = 1; round <= rounds; round++) {
        const writer = new LoadedWriter(join(mount.path, 'store'));
        await writer.wait(someBatches());
        const foreign = name === 'xfs' ? [] : ['-F'];
        const why = attempt('xfs_io', ...foreign, '-x', '-c', 'shutdown', mount.path);
        if (why !== undefined) {
          await writer.kill();
          report.skip(what, `it has no such ioctl: ${why}`);
          return;
        }
        stops++;
        // Its writes now fail with an unknown outcome, so it exits.
        await writer.ended();
        const { acknowledged } = writer;
        report.check(`${what}, round ${round}: the writer`, writer.problem);
        const isTold = /LODESTORE_(POISONED|FULL|IO|FENCED)/.test(writer.errors);
        const told = isTold ? undefined : `it said ${writer.errors.slice(0, 400)}`;
        report.check(`${what}, round ${round}: the writer is told`, told);
        mount.unmount();
        mount.mount();
        const problem = await judgeCrash(join(mount.path, 'store'), acknowledged);
        report.check(`${what}, round ${round}, after batch ${acknowledged}`, problem);
      }
      report.note(`${name}: ${stops} × emergency stop`);
    } finally {
      mount.discard();
    }
  });
}

export async function failingDevices(report: Report, rounds: number): Promise<void> {
  const mapper = attempt('dmsetup', 'targets');
  if (mapper !== undefined) {
    report.skip('dm-flakey and dm-error', `no device mapper: ${mapper.split('\n')[0]}`);
  }
  if (!isRoot) return report.skip('a loop device that cannot grow', 'mounting needs root');
  for (const name of FILE_SYSTEMS) {
    const why = whyNot(name) ?? whyNot('ext4');
    if (why !== undefined) report.skip(name, why);
    else await starve(report, name, rounds);
  }
}

/**
 * The image has holes, and the file system below it has no space to fill them, so the device's
 * writes fail. Then space is freed, and the store is checked.
 */
async function starve(report: Report, name: FileSystemName, rounds: number): Promise<void> {
  await inTemporary(async (directory) => {
    const outer = LoopMount.make('ext4', directory, SIZE_MIB[name] + 64);
    const inner = LoopMount.make(name, outer.path, SIZE_MIB[name]);
    const ballast = join(outer.path, 'ballast');
    try {
      for (let round = 1; round <= rounds; round++) {
        const store = join(inner.path, `store-${round}`);
        mkdirSync(store);
        must('sync', '--file-system', inner.path);
        const free = Number(must('df', '--output=avail', '-B1', outer.path).split('\n')[1]);
        writeBallast(ballast, Math.max(0, free - MIB * round));
        const writer = new LoadedWriter(store, { mergeBytes: 2 ** 40 });
        await writer.wait(1e9);
        await writer.ended();
        const { acknowledged } = writer;
        const what = `${name}: a device without room, round ${round}, after batch ${acknowledged}`;
        const isTold = /LODESTORE_(POISONED|FULL|IO|FENCED)/.test(writer.errors);
        report.check(
          `${what}: the writer is told`,
          isTold ? undefined : writer.errors.slice(0, 400),
        );
        rmSync(ballast);
        inner.unmount();
        inner.mount();
        report.check(what, await judgeCrash(store, acknowledged));
      }
      report.note(`${name}: ${rounds} × writes of the device failed`);
    } finally {
      inner.discard();
      outer.discard();
    }
  });
}
