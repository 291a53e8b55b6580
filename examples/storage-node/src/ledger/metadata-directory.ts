import type { FileLock, FileSystem } from 'lodestore/fs';
import { NodeRefusedError } from '../node-errors.ts';

/** The file in the metadata whose lock its owner holds. */
const LOCK_NAME = 'lodestore.lock';
const LEASE_NAME = 'lodestore.lease';

/** Where a rebuild makes the metadata. The lock in it says that the rebuild is running. */
const REBUILD_NAME = 'metadata.rebuild';
/** An abandoned one on its way to be removed. */
const ABANDONED = /^metadata\.rebuild\.\d+$/;

export function rebuildPath(directory: string): string {
  return `${directory}/${REBUILD_NAME}`;
}

function isOfRebuild(name: string): boolean {
  return name === REBUILD_NAME || ABANDONED.test(name);
}

export function rebuildIsRunning(): NodeRefusedError {
  return new NodeRefusedError(
    'LOST_METADATA',
    'another process rebuilds the metadata',
    'Wait until its "lodestore-node rebuild-index" has ended, then start the node',
  );
}

/**
 * Keeps the existing metadata under another name, and removes what interrupted rebuilds left.
 * Resolves to the new path of the existing metadata.
 *
 * @throws NodeRefusedError if the node is running, or another rebuild
 */
export async function clearTheWay(
  files: FileSystem,
  directory: string,
  nowMs: number,
): Promise<string | undefined> {
  const names = (await files.readDirectory(directory)).map(({ name }) => name);
  const metadata = names.includes('metadata') ? await lockMetadata(files, directory) : undefined;
  try {
    for (const name of names.filter((one) => isOfRebuild(one))) {
      await removeAbandoned(files, directory, name, nowMs);
    }
    if (metadata === undefined) return undefined;
    // The lock moves with its file: nobody opens the metadata before it has its new name.
    const former = `${directory}/metadata.${nowMs}`;
    await files.rename(`${directory}/metadata`, former);
    await files.syncDirectory(directory);
    return former;
  } finally {
    await metadata?.release();
  }
}

async function lockMetadata(files: FileSystem, directory: string): Promise<FileLock> {
  const lock = await files.tryLock(`${directory}/metadata/${LOCK_NAME}`);
  if (lock !== undefined) return lock;
  throw new NodeRefusedError('LOST_METADATA', 'the node is running', 'Stop it first');
}

/**
 * Removes what interrupted rebuilds left beside metadata. Leaves that of a running one. False if
 * there was nothing.
 */
export async function removeLeftovers(
  files: FileSystem,
  directory: string,
  nowMs: number,
): Promise<boolean> {
  const entries = await files.readDirectory(directory);
  const left = entries.map(({ name }) => name).filter((one) => isOfRebuild(one));
  let isRemoved = false;
  for (const name of left) {
    try {
      await removeAbandoned(files, directory, name, nowMs);
      isRemoved = true;
    } catch {
      // It is being written, or cannot be removed on this disk.
    }
  }
  return isRemoved;
}

/** It is renamed first, so that a rebuild which starts now makes a directory of its own. */
async function removeAbandoned(
  files: FileSystem,
  directory: string,
  name: string,
  nowMs: number,
): Promise<void> {
  const path = `${directory}/${name}`;
  const lock = await files.tryLock(`${path}/${LOCK_NAME}`);
  if (lock === undefined && name === REBUILD_NAME) throw rebuildIsRunning();
  if (lock === undefined) return;
  try {
    await files.breakLease(`${path}/${LEASE_NAME}`);
    const aside = name === REBUILD_NAME ? `${path}.${nowMs}` : path;
    if (aside !== path) await files.rename(path, aside);
    await removeTree(files, aside);
    await files.syncDirectory(directory);
  } finally {
    await lock.release();
  }
}

async function removeTree(files: FileSystem, path: string): Promise<void> {
  for (const { name, kind } of await files.readDirectory(path)) {
    if (kind === 'directory') await removeTree(files, `${path}/${name}`);
    else await files.unlink(`${path}/${name}`);
  }
  await files.removeDirectory(path);
}

/**
 * Gives the rebuilt metadata, which is closed, its name.
 *
 * @throws NodeRefusedError if another rebuild has taken it for abandoned
 */
export async function putInPlace(files: FileSystem, directory: string): Promise<void> {
  const path = rebuildPath(directory);
  const lock = await files.tryLock(`${path}/${LOCK_NAME}`);
  if (lock === undefined) throw rebuildIsRunning();
  try {
    await files.rename(path, `${directory}/metadata`);
    await files.syncDirectory(directory);
  } finally {
    await lock.release();
  }
}

/**
 * Why a rebuild did not leave its metadata: it is still running, or was interrupted. Undefined if
 * there was none.
 */
export async function unfinishedRebuild(
  files: FileSystem,
  directory: string,
): Promise<NodeRefusedError | undefined> {
  const path = rebuildPath(directory);
  try {
    await files.stat(`${path}/${LOCK_NAME}`);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    return undefined;
  }
  const lock = await files.tryLock(`${path}/${LOCK_NAME}`);
  if (lock === undefined) return rebuildIsRunning();
  await lock.release();
  return new NodeRefusedError(
    'LOST_METADATA',
    'a rebuild of the metadata was interrupted',
    'Run "lodestore-node rebuild-index" again',
  );
}
