import { basename, dirname, join } from 'node:path';
import { StoreLockedError, systemCode } from '../../base/errors.ts';
import {
  BACKUP_NAME,
  INCOMPLETE_NAME,
  LOCK_NAME,
  MARKER_NAME,
  parseFileName,
} from '../../format/file-name.ts';
import type { DirectoryEntry, FileLock, FileSystem, OpenFile } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { writeFully } from '../../fs/write.ts';
import { syncAncestors } from '../../directory/ensure-directory.ts';
import { badTarget, taken } from './backup-target.ts';

const INCOMPLETE_TEXT =
  'A backup or a restore is writing this directory, or was interrupted.\n' +
  'The directory is incomplete: do not open it.\n';

/**
 * - `marked`: the marker is there.
 * - `complete`: all files are durable, and the marker may be gone.
 * - `named`: the directory has the name of its target.
 */
type Stage = 'marked' | 'complete' | 'named';

/**
 * A directory that is written as `<target>.partial` and renamed to its target when all of it is
 * durable. Until then, a marker file in it says that it is incomplete, even if it is renamed or
 * copied.
 *
 * The marker is durable before any other file is created, including the lock file, and is removed
 * after all other files are durable. A complete directory is marked again before its files are
 * removed. So a crash at any step leaves no target, or a complete one. The `.partial` directory has
 * the marker, or is empty, or is complete.
 */
export class StagedDirectory {
  readonly #fs: FileSystem;
  readonly #target: string;
  readonly #lock: FileLock;
  #stage: Stage = 'marked';
  /** Where the files are written. */
  readonly path: string;

  private constructor(fs: FileSystem, target: string, lock: FileLock) {
    this.#fs = fs;
    this.#target = target;
    this.#lock = lock;
    this.path = partialPath(target);
  }

  /**
   * Begins a staged directory, within `inParent`. Removes what an interrupted run has left.
   *
   * @throws StoreError LODESTORE_BAD_TARGET; StoreLockedError while another run writes the same
   *   target; system errors unchanged
   */
  static async begin(fs: FileSystem, target: string): Promise<StagedDirectory> {
    const path = partialPath(target);
    await makeMarked(fs, path);
    await requireOurs(fs, path);
    const lock = await fs.tryLock(join(path, LOCK_NAME));
    if (lock === undefined) throw busy(target);
    try {
      // The previous holder of the lock may have just finished.
      await requireOurs(fs, path);
    } catch (error) {
      await lock.release();
      throw error;
    }
    const staged = new StagedDirectory(fs, target, lock);
    try {
      await staged.#removeFiles();
      await renewMarker(fs, path);
      return staged;
    } catch (error) {
      await staged.discard();
      throw error;
    }
  }

  /**
   * Renames a directory that an interrupted run had completed except for its name. `isComplete`
   * checks its content, given its path and names; nobody else writes there meanwhile. Returns false
   * if there is no such directory: then `begin` may be called.
   *
   * @throws like `begin`
   */
  static async finish(
    fs: FileSystem,
    target: string,
    isComplete: (path: string, names: ReadonlySet<string>) => Promise<boolean>,
  ): Promise<boolean> {
    const path = partialPath(target);
    if ((await unmarkedNames(fs, path)) === undefined) return false;
    const lock = await fs.tryLock(join(path, LOCK_NAME));
    if (lock === undefined) throw busy(target);
    try {
      const names = await unmarkedNames(fs, path);
      if (names === undefined || !(await isComplete(path, names))) return false;
      await new StagedDirectory(fs, target, lock).#giveName();
      return true;
    } finally {
      await lock.release();
    }
  }

  /**
   * Marks the files as complete, by replacing the marker with a manifest or removing it, then
   * renames the directory. Durable when it resolves.
   */
  async publish(manifest: string | undefined): Promise<void> {
    const marker = join(this.path, INCOMPLETE_NAME);
    await this.#fs.syncDirectory(this.path);
    if (manifest !== undefined) await this.#writeManifest(marker, manifest);
    this.#stage = 'complete';
    if (manifest === undefined) await this.#fs.unlink(marker);
    else await this.#fs.rename(marker, join(this.path, BACKUP_NAME));
    await this.#giveName();
  }

  async #giveName(): Promise<void> {
    await this.#fs.syncDirectory(this.path);
    await syncAncestors(this.#fs, dirname(this.#target));
    await this.#removeEmptyTarget();
    await this.#fs.rename(this.path, this.#target);
    this.#stage = 'named';
    await this.#fs.syncDirectory(dirname(this.#target));
    // The lock file stays. Otherwise another run that waits for it could lock a file without a
    // name.
    await this.#lock.release();
  }

  /** While the file has the marker's name, its content after a crash does not matter. */
  async #writeManifest(path: string, manifest: string): Promise<void> {
    const file = await this.#fs.open(path, 'r+');
    try {
      const bytes = new TextEncoder().encode(manifest);
      await writeFully(file, bytes, 0);
      await file.truncate(bytes.length);
      await file.dataSync();
    } finally {
      await file.close();
    }
  }

  async #removeEmptyTarget(): Promise<void> {
    try {
      await this.#fs.removeDirectory(this.#target);
    } catch (error) {
      const code = systemCode(error);
      if (code === 'ENOENT') return;
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR')
        throw taken(this.#target);
      if (code === 'EBUSY') {
        const reason = 'is in use, for example as a mount point. Use a directory inside it';
        throw badTarget(this.#target, reason);
      }
      throw error;
    }
  }

  /**
   * Removes what was written, unless it has its name already. If something cannot be removed, the
   * directory stays marked as incomplete, or is still complete.
   */
  async discard(): Promise<void> {
    try {
      if (this.#stage !== 'named') await this.#remove();
    } catch {
      // The first error is reported.
    } finally {
      await this.#lock.release().catch(() => undefined);
    }
  }

  async #remove(): Promise<void> {
    if (this.#stage === 'complete') await requireMarker(this.#fs, this.path);
    await this.#removeFiles();
    await unlinkIfThere(this.#fs, join(this.path, INCOMPLETE_NAME));
    await unlinkIfThere(this.#fs, join(this.path, LOCK_NAME));
    await this.#fs.removeDirectory(this.path);
  }

  /**
   * Removes all files except marker and lock, durably, so that no crash leaves files without the
   * marker.
   */
  async #removeFiles(): Promise<void> {
    for (const { name } of await this.#fs.readDirectory(this.path)) {
      if (name !== INCOMPLETE_NAME && name !== LOCK_NAME) {
        await this.#fs.unlink(join(this.path, name));
      }
    }
    await this.#fs.syncDirectory(this.path);
  }
}

/** The directory's path while it is being written. */
export function partialPath(target: string): string {
  return `${target}.partial`;
}

/**
 * Creates the directory, and the marker in it before anything else. An existing empty directory is
 * created again, because a killed run may have left it before its marker was durable.
 */
async function makeMarked(fs: FileSystem, path: string): Promise<void> {
  if (!(await makeDirectory(fs, path))) {
    const isEmpty = (await fs.readDirectory(path)).length === 0;
    if (!isEmpty || !(await removeEmpty(fs, path)) || !(await makeDirectory(fs, path))) return;
  }
  try {
    await makeMarker(fs, path);
  } catch (error) {
    await removeUnmarked(fs, path).catch(() => undefined);
    throw error;
  }
}

/** Removes a directory whose marker could not be written, unless another run uses it already. */
async function removeUnmarked(fs: FileSystem, path: string): Promise<void> {
  const entries = await fs.readDirectory(path);
  if (entries.some(({ name }) => name !== INCOMPLETE_NAME)) return;
  await unlinkIfThere(fs, join(path, INCOMPLETE_NAME));
  await fs.removeDirectory(path);
}

/** Returns false if it already exists. */
async function makeDirectory(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await fs.makeDirectory(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Returns false if it is no longer empty. */
async function removeEmpty(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await fs.removeDirectory(path);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    if (code === 'ENOENT') return true;
    throw error;
  }
}

/** Overwrites an existing marker, whatever its content. */
async function renewMarker(fs: FileSystem, path: string): Promise<void> {
  try {
    await writeMarker(await fs.open(join(path, INCOMPLETE_NAME), 'r+'));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return makeMarker(fs, path);
  }
  await fs.syncDirectory(path);
}

/** Makes the marker again if it was removed, so that files can be removed one by one. */
async function requireMarker(fs: FileSystem, path: string): Promise<void> {
  const entries = await fs.readDirectory(path);
  if (!entries.some(({ name }) => name === INCOMPLETE_NAME)) await makeMarker(fs, path);
}

/** The marker and its name are durable when it resolves. */
async function makeMarker(fs: FileSystem, path: string): Promise<void> {
  await writeMarker(await fs.open(join(path, INCOMPLETE_NAME), 'wx'));
  await fs.syncDirectory(path);
}

async function writeMarker(file: OpenFile): Promise<void> {
  try {
    const text = new TextEncoder().encode(INCOMPLETE_TEXT);
    await writeFully(file, text, 0);
    await file.truncate(text.length);
    await file.dataSync();
  } finally {
    await file.close();
  }
}

/**
 * The names in a directory of files without the marker. Undefined if there is no such directory.
 */
async function unmarkedNames(
  fs: FileSystem,
  path: string,
): Promise<ReadonlySet<string> | undefined> {
  try {
    const entries = await fs.readDirectory(path);
    if (entries.length === 0 || entries.some(({ kind }) => kind !== 'file')) return undefined;
    const names = new Set(entries.map(({ name }) => name));
    return names.has(INCOMPLETE_NAME) ? undefined : names;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Only a directory with the marker, or an empty one, is a leftover of an interrupted run. */
async function requireOurs(fs: FileSystem, path: string): Promise<void> {
  const entries = await fs.readDirectory(path);
  const others = entries.filter(({ name }) => name !== LOCK_NAME);
  const isMarked = others.some(({ name }) => name === INCOMPLETE_NAME);
  if (others.length > 0 && !isMarked) throw badTarget(path, unmarkedReason(others));
  const foreign = others.find(({ name, kind }) => kind !== 'file' || !isOurName(name));
  if (foreign !== undefined) {
    throw badTarget(join(path, foreign.name), 'is in the way. Move it elsewhere, or remove it');
  }
}

/** Describes a directory with a `.partial` name that is not marked as incomplete. */
function unmarkedReason(others: readonly DirectoryEntry[]): string {
  const has = (wanted: string): boolean => others.some(({ name }) => name === wanted);
  if (has(BACKUP_NAME)) {
    return (
      'contains a complete backup whose run was interrupted before the rename. ' +
      'Rename it to the name of the target, or remove it'
    );
  }
  if (has(MARKER_NAME)) {
    return (
      'contains a store, for example of a restore that was interrupted before the rename and read another ' +
      'backup, or that was opened since. Rename it, or remove it'
    );
  }
  return 'is in the way: no backup or restore created it. Rename it';
}

function isOurName(name: string): boolean {
  if (name === BACKUP_NAME || name === INCOMPLETE_NAME) return true;
  const { kind } = parseFileName(name);
  return kind === 'log' || kind === 'snapshot' || kind === 'marker';
}

function busy(target: string): StoreLockedError {
  const owner = { pid: undefined, hostName: undefined, openedAtMs: undefined };
  return new StoreLockedError(
    `another backup or restore is writing ${basename(target)}; wait for it, or use another target`,
    owner,
    { path: target },
  );
}
