import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { LEASE_NAME, LOCK_NAME } from '../format/file-name.ts';
import type { PathAccess } from '../fs/access.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { SurveyedFiles } from './surveyed-files.ts';

/** Something that would prevent opening the store for writing, although no data is damaged. */
export interface Obstacle {
  readonly path: string;
  /** A clause about the path. */
  readonly reason: string;
  /**
   * The system error that opening would get. Undefined if a file of the wrong kind is in the way.
   */
  readonly code: string | undefined;
}

/**
 * Checks, with the caller's permissions, whether the operations of an open would succeed, without
 * doing them. It opens files that an open writes to, and closes them again; it asks for permission
 * to create and remove names. Takes no lock.
 */
export async function findObstacles(
  fs: FileSystem,
  access: PathAccess | undefined,
  survey: SurveyedFiles,
): Promise<Obstacle[]> {
  const { directory } = survey;
  const found = [
    await directoryObstacle(access, directory),
    await lockObstacle(fs, join(directory, LOCK_NAME)),
    await leaseObstacle(fs, join(directory, LEASE_NAME)),
    await tailObstacle(fs, survey),
    ...(await stickyObstacles(access, survey)),
  ];
  return found.filter((obstacle) => obstacle !== undefined);
}

async function directoryObstacle(
  access: PathAccess | undefined,
  path: string,
): Promise<Obstacle | undefined> {
  const code = await access?.refusalToChange(path);
  if (code === undefined) return undefined;
  return { path, code, reason: `no file can be created or removed in it: ${code}` };
}

async function lockObstacle(fs: FileSystem, path: string): Promise<Obstacle | undefined> {
  const found = await lookAt(fs, path);
  if (found === undefined || found.kind === undefined) return found;
  if (found.kind === 'file') return writeObstacle(fs, path);
  const reason = `it should be a file, but is ${nameOf(found.kind)}`;
  return { path, code: undefined, reason };
}

async function leaseObstacle(fs: FileSystem, path: string): Promise<Obstacle | undefined> {
  const found = await lookAt(fs, path);
  if (found === undefined || found.kind === undefined) return found;
  if (found.kind === 'directory') return contentObstacle(fs, path);
  const reason = `it should be a directory or missing, but is ${nameOf(found.kind)}`;
  return { path, code: undefined, reason };
}

/** A lease that is left over is removed as an empty directory. */
async function contentObstacle(fs: FileSystem, lease: string): Promise<Obstacle | undefined> {
  try {
    const [entry] = await fs.readDirectory(lease);
    if (entry === undefined) return undefined;
    const reason = `it is in the lease, which must be an empty directory`;
    return { path: join(lease, entry.name), code: undefined, reason };
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    // Removed meanwhile. Without the right to list it, it may be empty.
    return undefined;
  }
}

/** An open rewrites the last log in place. */
async function tailObstacle(
  fs: FileSystem,
  { verdict }: SurveyedFiles,
): Promise<Obstacle | undefined> {
  return verdict?.tail === undefined ? undefined : writeObstacle(fs, verdict.tail.path);
}

async function writeObstacle(fs: FileSystem, path: string): Promise<Obstacle | undefined> {
  try {
    const file = await fs.open(path, 'r+');
    await file.close();
    return undefined;
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    // The file has just been removed or replaced.
    return code === 'ENOENT' ? undefined : { path, code, reason: `it cannot be written: ${code}` };
  }
}

/**
 * In a sticky directory, only the owner may remove a file: merged logs and a dead owner's lease
 * remain.
 */
async function stickyObstacles(
  access: PathAccess | undefined,
  { directory, snapshots, logs }: SurveyedFiles,
): Promise<Obstacle[]> {
  const self = access?.userId;
  const owner = await access?.ownerOf(directory);
  const mayRemove =
    self === undefined || self === 0 || owner === undefined || owner.userId === self;
  if (access === undefined || mayRemove || !owner.isSticky) return [];
  const found: Obstacle[] = [];
  for (const name of [...snapshots, ...logs].map((file) => file.name).concat(LEASE_NAME)) {
    const path = join(directory, name);
    const userId = (await access.ownerOf(path))?.userId;
    if (userId === undefined || userId === self) continue;
    const reason = `it belongs to user ${userId}, and only its owner may remove it in this directory`;
    found.push({ path, code: 'EPERM', reason });
  }
  return found;
}

/** The users that own the directory and the store's files, ascending. Empty if unknown. */
export async function ownersOf(
  access: PathAccess | undefined,
  { directory, snapshots, logs, others }: SurveyedFiles,
): Promise<number[]> {
  if (access === undefined) return [];
  const own = others.filter(({ kind }) => kind !== 'foreign' && kind !== 'quarantine');
  const names = [...snapshots, ...logs, ...own].map(({ name }) => name);
  const owners = new Set<number>();
  for (const path of [directory, ...names.map((name) => join(directory, name))]) {
    const owner = await access.ownerOf(path);
    if (owner !== undefined) owners.add(owner.userId);
  }
  return [...owners].sort((a, b) => a - b);
}

type Kind = 'file' | 'directory' | 'other';

/**
 * Returns the kind of the file at `path`. Undefined if there is none. An obstacle, without a kind,
 * if it cannot be determined.
 */
async function lookAt(
  fs: FileSystem,
  path: string,
): Promise<{ readonly kind: Kind } | (Obstacle & { readonly kind?: undefined }) | undefined> {
  try {
    return { kind: (await fs.stat(path)).kind };
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    return code === 'ENOENT' ? undefined : { path, code, reason: `it cannot be examined: ${code}` };
  }
}

function nameOf(kind: Kind): string {
  return { file: 'a file', directory: 'a directory', other: 'neither file nor directory' }[kind];
}
