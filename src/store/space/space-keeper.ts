import { StoreBusyError, StoreFullError, type StoreError } from '../../base/errors.ts';
import { waited, type Flow } from '../../base/flow.ts';
import type { Pacing } from '../../base/work-slices.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { PackedBatch } from '../batch/packed-batch.ts';
import type { DiskSpace } from './disk-space.ts';
import { isOnlyDeletes } from './only-deletes.ts';
import type { ReserveFile, ReserveState } from './reserve-file.ts';
import type { Room, SpaceBudget } from './space-budget.ts';

/**
 * `low`: nine tenths of the space for puts under `maxBytes` are used, or a merge may lack space on
 * the disk. `full`: puts are refused because of `maxBytes` or the disk.
 */
export type SpaceState = 'ample' | 'low' | 'full';

/**
 * Bytes on disk, and their limits. A read-only store writes nothing and does not query the disk.
 * There, `usedBytes` is what it read at open, `mergeBytes` and `reserveBytes` are 0, `maxBytes`,
 * `putBytes` and `diskFreeBytes` are undefined, and `state` is `ample`.
 */
export interface SpaceFigures {
  /** Bytes of the snapshot and of all logs, including reserved space and retained logs. */
  readonly usedBytes: number;
  /** Bytes kept free for the second snapshot of the next merge, or used by the running one. */
  readonly mergeBytes: number;
  /** The option. */
  readonly maxBytes: number | undefined;
  /** The part of `maxBytes` that only deletes and merges may use. */
  readonly reserveBytes: number;
  /** State of the reserve file; `none` without `reserveFileBytes`. */
  readonly reserveFile: 'none' | ReserveState;
  /**
   * Approximate bytes of rows that puts may still write: 0 while they are refused. Undefined if
   * neither `maxBytes` nor the free space of the disk is known, and for a read-only store.
   */
  readonly putBytes: number | undefined;
  /**
   * Free bytes of the file system at the last look: at open, a new log, a full disk, the end of a
   * merge. Undefined before the first look, if the system does not say, and for a read-only store.
   */
  readonly diskFreeBytes: number | undefined;
  readonly state: SpaceState;
}

export interface SpaceKeeperParts {
  readonly directory: string;
  readonly budget: SpaceBudget;
  readonly disk: DiskSpace;
  readonly reserveFile: ReserveFile | undefined;
  readonly listener: SpaceListener;
  /** Yields to other work. Undefined if groups are judged without yielding. */
  readonly pacing: Pacing;
}

export interface SpaceListener {
  readonly onLow: (figures: SpaceFigures) => void;
  readonly onRecovered: (figures: SpaceFigures) => void;
  /** Puts are refused: a merge may free space. */
  readonly onRefused: () => void;
}

const LOW_FRACTION = 0.9;
const RECOVERED_FRACTION = 0.8;
/** The disk has recovered when its free space is this multiple of what a merge may need. */
const RECOVERED_DISK_FRACTION = 1.25;
/** A row in the log will also be a row in a snapshot, so space is reserved for both. */
const BYTES_PER_ROW_BYTE = 2;

/**
 * Keeps the store within `maxBytes`, and keeps deletes and merges possible when puts no longer are.
 * Space is judged when a group is formed, batch by batch, by uncompressed rows.
 */
export class SpaceKeeper {
  readonly #parts: SpaceKeeperParts;
  #state: SpaceState = 'ample';
  #isLentToMerge = false;
  /** The space that was last released is for the retry of the group. */
  #isLentToGroup = false;
  #seenFileBytes = 0;

  constructor(parts: SpaceKeeperParts) {
    this.#parts = parts;
  }

  /** Called once, when `usage` can be called. The reserve is created in the background. */
  start(): void {
    this.observe();
    void this.#parts.reserveFile?.make().then(() => {
      if (this.waitsForReserve) this.#becomeFull();
    });
    void this.look();
  }

  /** Queries the free space of the disk. Never rejects. */
  async look(): Promise<void> {
    await this.#parts.disk.look();
    this.observe();
  }

  /**
   * Called when a group was written to a log that is now `fileBytes` long. The free space is
   * queried if the file has grown, or if the disk was full: a written group of deletes does not
   * prove that there is space for puts.
   */
  written(fileBytes: number): void {
    const hasGrown = fileBytes !== this.#seenFileBytes;
    this.#seenFileBytes = fileBytes;
    if (hasGrown || this.#parts.disk.isFull) void this.look();
    this.observe();
  }

  get figures(): SpaceFigures {
    const { budget, disk, reserveFile } = this.#parts;
    const { usedBytes, mergeBytes, maxBytes, reserveBytes } = budget;
    return {
      usedBytes,
      mergeBytes,
      maxBytes,
      reserveBytes,
      reserveFile: reserveFile?.state ?? 'none',
      putBytes: this.#putBytes,
      diskFreeBytes: disk.freeBytes,
      state: this.#state,
    };
  }

  /** Whether groups must be judged. A cheap check, which is made first. */
  get isLimited(): boolean {
    const { budget, disk } = this.#parts;
    return budget.maxBytes !== undefined || this.waitsForReserve || disk.isFull;
  }

  /** Whether the reserve is released. Before the next group, the store tries to create it again. */
  get waitsForReserve(): boolean {
    return this.#parts.reserveFile?.state === 'given-up';
  }

  get #putBytes(): number | undefined {
    const { budget, disk } = this.#parts;
    if (this.waitsForReserve || disk.isFull) return 0;
    const roomBytes = Math.max(0, budget.room.puts) / BYTES_PER_ROW_BYTE;
    const putBytes = Math.min(Math.floor(roomBytes), disk.freeBytes ?? Infinity);
    return putBytes === Infinity ? undefined : putBytes;
  }

  /** Whether merges should start before the logs are as long as the snapshot. */
  get isScarce(): boolean {
    const { budget, disk, reserveFile } = this.#parts;
    if (budget.maxBytes !== undefined || this.waitsForReserve) return this.#state !== 'ample';
    // The reserve is not released for a merge that is not due yet.
    return disk.isFull && reserveFile === undefined;
  }

  /**
   * Whether a new log may reserve its usual size. False until the reserve is kept, because a log's
   * zeros would take the space that was released for deletes and merges.
   */
  get isRoomForZeros(): boolean {
    const { reserveFile } = this.#parts;
    return reserveFile === undefined || reserveFile.state === 'kept';
  }

  /** Limit up to which the live log, now `fileBytes` long, may grow by reserved zeros. */
  reserveLimit(fileBytes: number, rotateBytes: number): number {
    const { budget } = this.#parts;
    if (this.waitsForReserve) return fileBytes;
    if (budget.maxBytes === undefined) return rotateBytes;
    return Math.min(rotateBytes, fileBytes + Math.max(0, Math.floor(budget.room.puts / 2)));
  }

  /**
   * Sets `refusal` of each batch that lacks space. Batches with a refusal are left out of the
   * group.
   */
  *judge(batches: readonly QueuedBatch[]): Flow<void> {
    const { room } = this.#parts.budget;
    if (this.waitsForReserve && !(yield* waited(this.#hasReserveAgain()))) room.puts = 0;
    this.#isLentToGroup = false;
    for (const batch of batches) {
      if (batch.refusal !== undefined || batch.packed!.recordCount === 0) continue;
      const neededBytes = BYTES_PER_ROW_BYTE * batch.lengthBytes;
      const isRoomForPuts = neededBytes <= room.puts;
      if (isRoomForPuts || (yield* this.#isAdmittedDelete(batch.packed!, neededBytes, room))) {
        room.puts -= neededBytes;
        room.deletes -= neededBytes;
        if (isRoomForPuts && this.#state === 'full') this.#state = 'low';
      } else this.#refuse(batch);
    }
  }

  *#isAdmittedDelete(packed: PackedBatch, neededBytes: number, room: Room): Flow<boolean> {
    return neededBytes <= room.deletes && (yield* isOnlyDeletes(packed, this.#parts.pacing));
  }

  async #hasReserveAgain(): Promise<boolean> {
    if (this.#isLentToMerge || this.#isLentToGroup) return false;
    if (!(await this.#parts.reserveFile!.make())) return false;
    this.observe();
    return true;
  }

  #refuse(batch: QueuedBatch, cause?: unknown): void {
    const { budget, directory, listener } = this.#parts;
    const { maxBytes, mergeBytes, reserveBytes, takenBytes } = budget;
    const isDisk = maxBytes === undefined || this.waitsForReserve;
    batch.refusal = new StoreFullError(
      isDisk
        ? `the disk of ${directory} is full: only deletes are accepted until space is free`
        : `the batch would exceed the ${maxBytes} bytes of ${directory}, of which ` +
            `${mergeBytes} are kept for the next merge and ${reserveBytes} for deletes; ` +
            'deletes are still accepted',
      {
        cause,
        outcome: 'not-applied',
        path: directory,
        limitBytes: isDisk ? undefined : maxBytes,
        usedBytes: isDisk ? undefined : takenBytes,
      },
    );
    // A batch may be refused only because it is large. That does not mean that the store is full.
    if (isDisk || takenBytes >= RECOVERED_FRACTION * budget.limitBytes) this.#becomeFull();
    listener.onRefused();
  }

  /**
   * Called when a group met a full disk. Returns the error that rejects the whole group, or
   * undefined if it is to be retried, with its puts refused. Releases the reserve if there are
   * deletes; only they need it. `mayWait`: whether it may wait for that.
   */
  *makeRoom(
    batches: readonly QueuedBatch[],
    error: StoreFullError,
    mayWait: boolean,
  ): Flow<StoreError | undefined> {
    const { disk, reserveFile, pacing } = this.#parts;
    const writing = batches.filter(({ packed }) => packed!.recordCount > 0);
    const puts: QueuedBatch[] = [];
    for (const batch of writing) {
      if (!(yield* isOnlyDeletes(batch.packed!, pacing))) puts.push(batch);
    }
    disk.refused();
    this.#becomeFull();
    if (puts.length === batches.length) return error;
    if (puts.length === writing.length) {
      for (const batch of puts) batch.refusal = error;
      return undefined;
    }
    if (reserveFile === undefined) return error;
    if (!mayWait) {
      return reserveFile.state === 'absent' ? error : new StoreBusyError('space', { cause: error });
    }
    if (!(yield* waited(reserveFile.giveUp()))) return error;
    // If inodes are lacking, creating the reserve again would take the inode that it released.
    this.#isLentToGroup = true;
    // Without the puts, conditions must be evaluated again.
    for (const batch of batches) batch.refusal = undefined;
    for (const batch of puts) this.#refuse(batch, error.cause);
    this.#becomeFull();
    return undefined;
  }

  /**
   * Called when a merge lacks space. Releases the reserve if that is enough. Resolves with whether
   * it was.
   */
  async lendToMerge(missingBytes: number): Promise<boolean> {
    const { reserveFile } = this.#parts;
    if (reserveFile === undefined || missingBytes > reserveFile.heldBytes) return false;
    if (!(await reserveFile.giveUp())) return false;
    this.#isLentToMerge = true;
    this.#becomeFull();
    return true;
  }

  /** Tries to create a released reserve again, for a caller that does not wait. */
  seekReserve(): void {
    if (this.waitsForReserve) void this.#hasReserveAgain();
  }

  /** Called when a merge has ended, successfully or not. */
  mergeEnded(): void {
    this.#isLentToMerge = false;
    if (this.waitsForReserve) this.seekReserve();
    else void this.#parts.reserveFile?.make();
    void this.look();
  }

  /** Updates the state, and emits an event once per crossing. */
  observe(): void {
    const { budget, disk, listener } = this.#parts;
    const { limitBytes, takenBytes, mergeBytes } = budget;
    if (this.#state === 'ample') {
      if (takenBytes < LOW_FRACTION * limitBytes && !disk.isScarce(mergeBytes)) return;
      this.#state = 'low';
      listener.onLow(this.figures);
      return;
    }
    if (this.waitsForReserve || disk.isFull) return;
    const hasRoom = takenBytes < RECOVERED_FRACTION * limitBytes;
    if (hasRoom && !disk.isScarce(RECOVERED_DISK_FRACTION * mergeBytes)) {
      this.#state = 'ample';
      listener.onRecovered(this.figures);
    } else if (budget.maxBytes === undefined) this.#state = 'low';
  }

  #becomeFull(): void {
    const wasAmple = this.#state === 'ample';
    this.#state = 'full';
    if (wasAmple) this.#parts.listener.onLow(this.figures);
  }

  async close(): Promise<void> {
    await this.#parts.reserveFile?.close();
  }
}
