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
import { Quarantine } from './quarantine.ts';
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
  const salvaged = await new Salvage(context, lock).run(moved);
  return { recovered: await recover(context), ...salvaged };
}

/**
 * Keeps the valid records of a damaged directory: writes them as a new snapshot, and removes the
 * files that it replaces. Before that, `quarantine/` gets the damaged files and the report, and, if
 * keys are lost, the files that were not used. Afterwards the directory recovers without damage.
 * Until the new snapshot's name is durable, the originals remain unchanged.
 */
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

  /**
   * `before`: what was moved before. Rejects with system errors unchanged, because an unreadable
   * file is not damage. What was written is removed then, unless the snapshot may have its name.
   */
  async run(before: readonly MovedFile[]): Promise<Pick<Salvaged, 'moved' | 'losses'>> {
    const found = await readSalvageable(this.#fs, this.#directory, this.#context.signal);
    // A number that no snapshot has, so that not even the damaged newest one is overwritten.
    const number = found.number + (found.listing.snapshots.includes(found.number) ? 1 : 0);
    const salvaged = await this.#prepare(number, found, before);
    await this.#install(number, found.listing);
    return salvaged;
  }

  /** Writes everything, durably, except the name of the snapshot. */
  async #prepare(
    number: number,
    found: Salvageable,
    before: readonly MovedFile[],
  ): Promise<Pick<Salvaged, 'moved' | 'losses'>> {
    const quarantine = new Quarantine(this.#fs, this.#directory, this.#context.signal);
    try {
      await this.#removeTemporaries(found.listing);
      await this.#writeSnapshot(number, found);
      const kept = await this.#setAside(found, quarantine);
      const salvaged = { losses: kept.losses, moved: [...before, ...kept.moved] };
      // Nothing tells the losses once the new snapshot has its name, and the open may still fail.
      await quarantine.writeReport({ snapshot: snapshotName(number), ...salvaged });
      await this.#lock.whenHeld();
      return salvaged;
    } catch (error) {
      await this.#discard(number, quarantine);
      throw error;
    }
  }

  /** Removes what was written, unless another host may use the directory by now. */
  async #discard(number: number, quarantine: Quarantine): Promise<void> {
    try {
      await this.#lock.whenHeld();
      await quarantine.discard();
      await unlinkIfThere(this.#fs, this.#temporaryPath(number));
    } catch {
      // The first error is reported.
    }
  }

  /** Snapshots that no merge and no salvage has finished take space that may be needed. */
  async #removeTemporaries({ temporaries }: DirectoryListing): Promise<void> {
    for (const name of temporaries) {
      await this.#lock.whenHeld();
      await unlinkIfThere(this.#fs, join(this.#directory, name));
    }
  }

  async #writeSnapshot(number: number, found: Salvageable): Promise<void> {
    const file = await this.#fs.open(this.#temporaryPath(number), 'wx');
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
      for (const columns of found.columns) {
        this.#context.signal.throwIfAborted();
        await writer.writeChunk(columns);
      }
      await writer.finish();
    } finally {
      await file.close();
    }
  }

  /** Keeps damaged and unused files. */
  async #setAside(
    found: Salvageable,
    quarantine: Quarantine,
  ): Promise<Pick<Salvaged, 'moved' | 'losses'>> {
    const damaged = damagedPaths(found);
    const unused = unusedNames(found)
      .map((name) => join(this.#directory, name))
      .filter((path) => !damaged.includes(path));
    const places = await quarantine.keep([...damaged, ...unused]);
    const reason = 'it was not used, and may hold older values of lost keys';
    return {
      losses: found.losses.map((loss) => ({ ...loss, quarantined: places.get(loss.path) })),
      moved: unused.map((from) => ({ from, to: places.get(from)!, reason })),
    };
  }

  async #install(number: number, listing: DirectoryListing): Promise<void> {
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

/**
 * The files that the newest snapshot had replaced, if keys are lost: they may be the only ones that
 * hold a value of these keys.
 */
function unusedNames({ listing, losses }: Salvageable): string[] {
  const newest = listing.snapshots.at(-1);
  if (newest === undefined || losses.every((loss) => loss.firstKey === undefined)) return [];
  return [
    ...listing.logs.filter((number) => number <= newest).map(logName),
    ...listing.snapshots.filter((number) => number < newest).map(snapshotName),
  ];
}
