import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import { CorruptionError } from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import type { DirectoryListing } from '../../directory/listing.ts';
import { logName, snapshotName, temporarySnapshotName } from '../../format/file-name.ts';
import { nextEpoch } from '../../format/file-header.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { SnapshotWriter } from '../../snapshot/snapshot-writer.ts';
import { quarantine } from './quarantine.ts';
import { recover, type RecoveredState } from '../recovery/recovery.ts';
import type { RecoveryContext } from '../recovery/recovery-context.ts';
import type { Loss, MovedFile } from '../recovery/recovery-report.ts';
import { putInPlace } from './put-in-place.ts';
import { sequenceAfterSalvage } from './salvage-loss.ts';
import { damagedPaths, readSalvageable, type Salvageable } from './salvage-reading.ts';

/** A directory that recovers again, and what was moved and lost. */
export interface Salvaged {
  readonly recovered: RecoveredState;
  readonly moved: readonly MovedFile[];
  readonly losses: readonly Loss[];
}

/**
 * Makes a damaged directory recover. The first step loses nothing: files are renamed to the names
 * in their headers, and files that do not belong are set aside. Only what is still damaged after
 * that is given up.
 *
 * @throws FencedError; CorruptionError only if the disk changes meanwhile; system errors unchanged
 */
export async function recoverBySalvage(
  context: RecoveryContext,
  lock: DirectoryLock,
): Promise<Salvaged> {
  const { fs, directory, signal } = context;
  const moved = await putInPlace(fs, directory, signal, lock);
  if (moved.length > 0) {
    try {
      return { recovered: await recover(context), moved, losses: [] };
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
    }
  }
  const losses = await salvage(context, lock);
  return { recovered: await recover(context), moved, losses };
}

/**
 * Keeps the valid records of a damaged directory: writes them as a new snapshot, copies damaged
 * originals to `quarantine/`, and removes the files that the snapshot replaces. Afterwards the
 * directory recovers without damage. Until the new snapshot's name is durable, the originals remain
 * unchanged.
 *
 * @throws system errors unchanged: an unreadable file is not damage, and nothing was changed
 */
async function salvage(context: RecoveryContext, lock: DirectoryLock): Promise<readonly Loss[]> {
  return new Salvage(context, lock).run();
}

class Salvage {
  readonly #fs: FileSystem;
  readonly #context: RecoveryContext;
  readonly #directory: string;
  readonly #lock: DirectoryLock;

  constructor(context: RecoveryContext, lock: DirectoryLock) {
    this.#context = context;
    this.#fs = context.fs;
    this.#directory = context.directory;
    this.#lock = lock;
  }

  async run(): Promise<readonly Loss[]> {
    const found = await readSalvageable(this.#fs, this.#directory, this.#context.signal);
    // A number that no snapshot has, so that not even the damaged newest one is overwritten.
    const number = found.number + (found.listing.snapshots.includes(found.number) ? 1 : 0);
    await this.#writeSnapshot(number, found);
    const places = await this.#quarantineAll(found);
    await this.#install(number, found.listing);
    return found.losses.map((loss) => ({ ...loss, quarantined: places.get(loss.path) }));
  }

  async #writeSnapshot(number: number, found: Salvageable): Promise<void> {
    const path = this.#temporaryPath(number);
    await unlinkIfThere(this.#fs, path);
    const file = await this.#fs.open(path, 'wx');
    try {
      const { storeId, epoch } = found;
      const lastSequence = sequenceAfterSalvage(found);
      const predecessor = { number, lengthBytes: 0, lastSequence, chain: 0 };
      const header = {
        kind: 'snapshot' as const,
        storeId,
        number,
        epoch: nextEpoch(epoch),
        predecessor,
      };
      const writer = new SnapshotWriter(file, header);
      for (const columns of found.columns) await writer.writeChunk(columns);
      await writer.finish();
    } finally {
      await file.close();
    }
  }

  /** Copies every damaged file once. Returns the new paths by the original ones. */
  async #quarantineAll(found: Salvageable): Promise<Map<string, string>> {
    const places = new Map<string, string>();
    for (const path of damagedPaths(found)) {
      places.set(path, await quarantine(this.#fs, this.#directory, path));
    }
    return places;
  }

  async #install(number: number, listing: DirectoryListing): Promise<void> {
    await this.#lock.whenHeld();
    const path = join(this.#directory, snapshotName(number));
    await this.#fs.rename(this.#temporaryPath(number), path);
    await this.#fs.syncDirectory(this.#directory);
    const replaced = [
      ...listing.logs.filter((log) => log <= number).map(logName),
      ...listing.snapshots.filter((snapshot) => snapshot < number).map(snapshotName),
    ];
    for (const name of replaced) {
      await this.#lock.whenHeld();
      assert(name !== snapshotName(number), 'what has just been written is not removed');
      await unlinkIfThere(this.#fs, join(this.#directory, name));
    }
  }

  #temporaryPath(number: number): string {
    return join(this.#directory, temporarySnapshotName(number, this.#lock.owner.nonce));
  }
}
