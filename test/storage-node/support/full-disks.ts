import { execFileSync } from 'node:child_process';
import { mkdir, open, type FileHandle, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { NodeOptions } from '../../../examples/storage-node/src/node-options.ts';
import { MACHINE, StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../../src/testing/index.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { bytesOf, put, SMALL } from './nodes.ts';

/** Volumes for disks of a few megabytes. */
export const OPTIONS: NodeOptions = {
  ...SMALL,
  volumeBytes: 256 * 1024,
  indexVolumeBytes: 128 * 1024,
  reserveFileBytes: 512 * 1024,
};

export interface Disk {
  readonly open: (more?: NodeOptions) => Promise<StorageNode>;
  readonly freeBytes: () => Promise<number>;
  /** Takes all remaining space; `false` frees it. */
  readonly ballast: (isThere: boolean) => Promise<void>;
}

export interface SimulatedDisk extends Disk {
  readonly files: CrashFs;
  /** The other program gives so many bytes back. */
  readonly giveBack: (bytes: number) => Promise<void>;
}

export async function simulatedDisk(capacityBytes = 6 * 2 ** 20): Promise<SimulatedDisk> {
  const files = new CrashFs({ capacityBytes });
  await files.makeDirectory('/other');
  const file = await files.open('/other/ballast', 'wx');
  const freeBytes = (): Promise<number> => files.freeBytes('/other');
  return {
    files,
    open: (more) => StorageNode.open('/node', { ...OPTIONS, ...more }, { ...MACHINE, files }),
    freeBytes,
    ballast: async (isThere) => {
      const { sizeBytes } = await files.stat('/other/ballast');
      await file.truncate(isThere ? sizeBytes + (await freeBytes()) : 0);
    },
    giveBack: async (bytes) => {
      const { sizeBytes } = await files.stat('/other/ballast');
      await file.truncate(sizeBytes - bytes);
    },
  };
}

/** A tmpfs, which is unmounted even if the test fails. */
export async function mountedDisk(size = '12m'): Promise<Disk> {
  const path = join(await temporaryDirectory(), 'disk');
  await mkdir(path);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'lodestore-node-test', path]);
  return mounted(path);
}

/** An ext4 in a file, where a directory needs a block, too. None is kept for root. */
export async function mountedExt4(sizeBytes: number): Promise<Disk> {
  const directory = await temporaryDirectory();
  const image = join(directory, 'image');
  await writeFile(image, '');
  await truncate(image, sizeBytes);
  execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
  const path = join(directory, 'disk');
  await mkdir(path);
  execFileSync('mount', ['-o', 'loop', image, path]);
  return mounted(path);
}

function mounted(path: string): Disk {
  onTestFinished(() => void execFileSync('umount', ['--lazy', path]));
  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  };
  return {
    open: (more) => StorageNode.open(join(path, 'node'), { ...OPTIONS, ...more }),
    freeBytes,
    ballast: async (isThere) => {
      if (!isThere) return rm(join(path, 'ballast'), { force: true });
      const file = await open(join(path, 'ballast'), 'a');
      try {
        await fillUp(file, await freeBytes());
      } finally {
        await file.close();
      }
    },
  };
}

/** Writes so much, and what else there is room for. */
async function fillUp(file: FileHandle, freeBytes: number): Promise<void> {
  for (const pieceBytes of [Math.max(freeBytes, 4096), 65_536, 4096]) {
    try {
      for (;;) await file.appendFile(Buffer.alloc(pieceBytes, 'b'));
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOSPC') throw error;
    }
  }
}

/** Stores objects of 60,000 bytes in bucket `b` until there is no space. */
export async function fill(node: StorageNode): Promise<Map<string, Buffer>> {
  const bodies = new Map<string, Buffer>();
  for (;;) {
    const name = `n${String(bodies.size).padStart(3, '0')}`;
    const body = bytesOf(60_000);
    try {
      await put(node, 'b', name, body, undefined, { sizeBytes: body.length });
    } catch (error) {
      expect(error).toMatchObject({ code: 'NO_SPACE' });
      return bodies;
    }
    bodies.set(name, body);
  }
}
