import { basename, dirname, join } from 'node:path';
import { StoreError, StoreLockedError, systemCode } from '../../base/errors.ts';
import { BACKUP_NAME, INCOMPLETE_NAME, LOCK_NAME, parseFileName } from '../../format/file-name.ts';
import type { FileLock, FileSystem } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { writeFully } from '../../fs/write.ts';
import { ensureDirectory } from '../open/creation.ts';

const INCOMPLETE_TEXT =
  'A backup or a restore that writes this directory is under way, or was interrupted.\n' +
  'What is here is not complete: do not open it.\n';

/**
 * A directory that is written under another name, `<target>.partial`, and gets its own when all of it is
 * durable. Until then a file in it says that it is incomplete, whatever it is renamed or copied to.
 *
 * That file is durable before any other is made, and goes after all others are durable: so a crash at any
 * step leaves no target, or a complete one.
 */
export class StagedDirectory {
  readonly #fs: FileSystem;
  readonly #target: string;
  readonly #lock: FileLock;
  /** Where the files go. */
  readonly path: string;

  private constructor(fs: FileSystem, target: string, lock: FileLock) {
    this.#fs = fs;
    this.#target = target;
    this.#lock = lock;
    this.path = partialPath(target);
  }

  /**
   * `target` is an absolute path at which there is nothing, or an empty directory. What is missing above it
   * is made. What an interrupted run has left is removed.
   * @throws StoreError LODESTORE_BAD_TARGET; StoreLockedError while another run writes the same target;
   *   system errors as they are
   */
  static async begin(fs: FileSystem, target: string): Promise<StagedDirectory> {
    await requireFree(fs, target);
    await ensureDirectory(fs, dirname(target), true);
    const path = partialPath(target);
    await fs.makeDirectory(path).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw error;
    });
    await requireOurs(fs, path);
    const lock = await fs.tryLock(join(path, LOCK_NAME));
    if (lock === undefined) throw busy(target);
    try {
      // Whoever held the lock before us may have been about to finish.
      await requireOurs(fs, path);
    } catch (error) {
      await lock.release();
      throw error;
    }
    const staged = new StagedDirectory(fs, target, lock);
    try {
      await staged.#removeFiles();
      await staged.#makeMarker();
      return staged;
    } catch (error) {
      await staged.discard();
      throw error;
    }
  }

  async #makeMarker(): Promise<void> {
    const marker = join(this.path, INCOMPLETE_NAME);
    await unlinkIfThere(this.#fs, marker);
    const file = await this.#fs.open(marker, 'wx');
    try {
      await writeFully(file, new TextEncoder().encode(INCOMPLETE_TEXT), 0);
      await file.dataSync();
    } finally {
      await file.close();
    }
    await this.#fs.syncDirectory(this.path);
  }

  /**
   * Says that the files are complete, with a manifest in the marker's place if there is one, then gives the
   * directory its name. Durable when it resolves.
   */
  async publish(manifest: string | undefined): Promise<void> {
    const marker = join(this.path, INCOMPLETE_NAME);
    await this.#fs.syncDirectory(this.path);
    if (manifest === undefined) await this.#fs.unlink(marker);
    else {
      await this.#writeManifest(marker, manifest);
      await this.#fs.rename(marker, join(this.path, BACKUP_NAME));
    }
    await this.#fs.syncDirectory(this.path);
    await this.#removeEmptyTarget();
    await this.#fs.rename(this.path, this.#target);
    await this.#fs.syncDirectory(dirname(this.#target));
    // Its file stays: who waits for a lock on it must not get one on a file without a name.
    await this.#lock.release();
  }

  /** What a crash leaves of it while it is still the marker does not matter: its name says enough. */
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
        const reason = 'is in use, as the place where a disk is mounted is. Give a directory in it';
        throw badTarget(this.#target, reason);
      }
      throw error;
    }
  }

  /** Removes what has been written. What cannot be removed stays, and says that it is incomplete. */
  async discard(): Promise<void> {
    try {
      await this.#removeFiles();
      await unlinkIfThere(this.#fs, join(this.path, INCOMPLETE_NAME));
      await unlinkIfThere(this.#fs, join(this.path, LOCK_NAME));
      await this.#fs.removeDirectory(this.path);
    } catch {
      // The error that led here is the one to tell.
    } finally {
      await this.#lock.release().catch(() => undefined);
    }
  }

  /** All but marker and lock; durable, so that a crash never leaves files without the marker. */
  async #removeFiles(): Promise<void> {
    for (const { name } of await this.#fs.readDirectory(this.path)) {
      if (name !== INCOMPLETE_NAME && name !== LOCK_NAME) {
        await this.#fs.unlink(join(this.path, name));
      }
    }
    await this.#fs.syncDirectory(this.path);
  }
}

/** Where the directory stands while it is being written. */
export function partialPath(target: string): string {
  return `${target}.partial`;
}

async function requireFree(fs: FileSystem, target: string): Promise<void> {
  try {
    if ((await fs.readDirectory(target)).length > 0) throw taken(target);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTDIR') throw taken(target);
    if (code !== 'ENOENT') throw error;
  }
}

/** Only what carries the marker, or holds nothing, is a leftover of ours. */
async function requireOurs(fs: FileSystem, path: string): Promise<void> {
  const entries = await fs.readDirectory(path);
  const others = entries.filter(({ name }) => name !== LOCK_NAME);
  const isMarked = others.some(({ name }) => name === INCOMPLETE_NAME);
  if (others.length > 0 && !isMarked) {
    throw badTarget(
      path,
      others.some(({ name }) => name === BACKUP_NAME)
        ? 'holds a finished backup that did not get its name. Give it another name, or remove it'
        : 'is in the way: it was not made by a backup or a restore. Give it another name',
    );
  }
  const foreign = others.find(({ name, kind }) => kind !== 'file' || !isOurName(name));
  if (foreign !== undefined) {
    throw badTarget(join(path, foreign.name), 'is in the way. Move it elsewhere, or remove it');
  }
}

function isOurName(name: string): boolean {
  if (name === BACKUP_NAME || name === INCOMPLETE_NAME) return true;
  const { kind } = parseFileName(name);
  return kind === 'log' || kind === 'snapshot' || kind === 'marker';
}

function taken(target: string): StoreError {
  return badTarget(
    target,
    'is there already, and nothing is overwritten. Give a path at which there is nothing, or an empty directory',
  );
}

/** `reason` is a predicate and what to do. */
export function badTarget(path: string, reason: string): StoreError {
  return new StoreError('LODESTORE_BAD_TARGET', `${path} ${reason}`, { path });
}

function busy(target: string): StoreLockedError {
  const owner = { pid: undefined, hostName: undefined, openedAtMs: undefined };
  return new StoreLockedError(
    `another backup or restore is writing ${basename(target)}; wait for it, or give another target`,
    owner,
    { path: target },
  );
}
