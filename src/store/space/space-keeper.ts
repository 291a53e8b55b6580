import { viewOf } from '../../base/bytes.ts';
import { StoreFullError } from '../../base/errors.ts';
import { waited, type Flow } from '../../base/flow.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { rowLengthAt } from '../../format/group-rows.ts';
import { isDeleteRow } from '../../format/row.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { ReserveFile, ReserveState } from './reserve-file.ts';
import type { PackedBatch } from '../batch/packed-batch.ts';

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

/** Bytes of the store's files. */
export interface SpaceUsage {
  readonly snapshotBytes: number;
  /** Length of all logs, including reserved zeros and the prepared log. */
  readonly logFileBytes: number;
  /** The written part of the logs. */
  readonly logBytes: number;
  /** Merged logs that are retained for change feeds. */
  readonly retainedBytes: number;
}

export interface SpaceKeeperParts {
  readonly directory: string;
  readonly maxBytes: number | undefined;
  /** Bytes set aside for retained logs, so that retaining one never makes a merge too large. */
  readonly retainBytes: number;
  readonly reserveFile: ReserveFile | undefined;
  readonly usage: () => SpaceUsage;
  /** Called when puts are refused: a merge may free space. */
  readonly relieve: () => void;
  readonly onLow: (figures: SpaceFigures) => void;
  readonly onRecovered: (figures: SpaceFigures) => void;
  /** Yields to other work. Undefined if groups are judged without yielding. */
  readonly pause: (() => Promise<void>) | undefined;
  /** Free bytes on the disk. */
  readonly freeBytes: () => Promise<number>;
}

const MIN_RESERVE_BYTES: number = 1024 * 1024;
const LOW_FRACTION = 0.9;
const RECOVERED_FRACTION = 0.8;
/** The disk has recovered when its free space is this multiple of what a merge may need. */
const RECOVERED_DISK_FRACTION = 1.25;
/** A disk that refused a write counts as full until this much is free, or a put was written. */
const LEAST_FREE_BYTES: number = 512 * 1024;
/** Bytes for the headers of a group and of a new log, and the rest of its last block. */
const GROUP_OVERHEAD_BYTES: number = 8 * 1024;
/** Bytes that a merge may need in addition to those that it reads. */
const MERGE_OVERHEAD_BYTES: number = 64 * 1024;
/** A row in the log will also be a row in a snapshot, so space is reserved for both. */
const BYTES_PER_ROW_BYTE = 2;
/** Rows scanned between two yields to the event loop. */
const SLICE_ROWS = 16_384;

/** Bytes that the remaining batches of a group may take. */
interface Room {
  puts: number;
  deletes: number;
}

/**
 * Keeps the store within `maxBytes`, and keeps deletes and merges possible when puts no longer are.
 * Space is judged when a group is formed, batch by batch, by uncompressed rows.
 */
export class SpaceKeeper {
  readonly #parts: SpaceKeeperParts;
  readonly #reserveBytes: number;
  #state: SpaceState = 'ample';
  #isLentToMerge = false;
  /** The space that was last released is for the retry of the group. */
  #isLentToGroup = false;
  /** The disk had no space for a put. */
  #isDiskFull = false;
  #diskFreeBytes: number | undefined;
  #seenFileBytes = 0;

  constructor(parts: SpaceKeeperParts) {
    this.#parts = parts;
    const { maxBytes } = parts;
    this.#reserveBytes =
      maxBytes === undefined ? 0 : Math.max(MIN_RESERVE_BYTES, Math.ceil(maxBytes / 50));
  }

  /** Called once, when `usage` can be called. The reserve is created in the background. */
  start(): void {
    this.observe();
    void this.#parts.reserveFile?.make().then(() => {
      if (this.#isReserveGivenUp) this.#becomeFull();
    });
    void this.look();
  }

  /** Queries the free space of the disk. Never rejects. */
  async look(): Promise<void> {
    await this.#measure();
    if ((this.#diskFreeBytes ?? 0) >= LEAST_FREE_BYTES) this.#isDiskFull = false;
    this.observe();
  }

  async #measure(): Promise<void> {
    this.#diskFreeBytes = await this.#parts.freeBytes().catch(() => undefined);
  }

  /**
   * Called when a group was written to a log that is now `fileBytes` long. The free space is
   * queried if the file has grown, or if the disk was full: a written group of deletes does not
   * prove that there is space for puts.
   */
  written(fileBytes: number): void {
    const hasGrown = fileBytes !== this.#seenFileBytes;
    this.#seenFileBytes = fileBytes;
    if (hasGrown || this.#isDiskFull) void this.look();
    this.observe();
  }

  get figures(): SpaceFigures {
    const { maxBytes, reserveFile, usage } = this.#parts;
    const { snapshotBytes, logFileBytes, retainedBytes } = usage();
    return {
      usedBytes: snapshotBytes + logFileBytes + retainedBytes,
      mergeBytes: this.#mergeBytes,
      maxBytes,
      reserveBytes: this.#reserveBytes,
      reserveFile: reserveFile?.state ?? 'none',
      putBytes: this.#putBytes,
      diskFreeBytes: this.#diskFreeBytes,
      state: this.#state,
    };
  }

  /** Whether groups must be judged. A cheap check, which is made first. */
  get isLimited(): boolean {
    return this.#parts.maxBytes !== undefined || this.#isReserveGivenUp || this.#isDiskFull;
  }

  /** Whether there is a reserve file, to be released on a full disk. */
  get hasReserve(): boolean {
    return this.#parts.reserveFile !== undefined;
  }

  /** Whether the reserve is released. Before the next group, the store tries to create it again. */
  get waitsForReserve(): boolean {
    return this.#isReserveGivenUp;
  }

  get #putBytes(): number | undefined {
    if (this.#isReserveGivenUp || this.#isDiskFull) return 0;
    const roomBytes = Math.max(0, this.#room().puts) / BYTES_PER_ROW_BYTE;
    const putBytes = Math.min(Math.floor(roomBytes), this.#diskFreeBytes ?? Infinity);
    return putBytes === Infinity ? undefined : putBytes;
  }

  /** Whether a merge may lack space on the disk. */
  #isDiskScarce(factor: number): boolean {
    const freeBytes = this.#diskFreeBytes ?? Infinity;
    return this.#isDiskFull || freeBytes < factor * this.#mergeBytes;
  }

  /** Whether merges should start before the logs are as long as the snapshot. */
  get isScarce(): boolean {
    const { maxBytes, reserveFile } = this.#parts;
    if (maxBytes !== undefined || this.#isReserveGivenUp) return this.#state !== 'ample';
    // The reserve is not released for a merge that is not due yet.
    return this.#isDiskFull && reserveFile === undefined;
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
    if (this.#isReserveGivenUp) return fileBytes;
    if (this.#parts.maxBytes === undefined) return rotateBytes;
    return Math.min(rotateBytes, fileBytes + Math.max(0, Math.floor(this.#room().puts / 2)));
  }

  get #isReserveGivenUp(): boolean {
    return this.#parts.reserveFile?.state === 'given-up';
  }

  get #mergeBytes(): number {
    const { snapshotBytes, logBytes } = this.#parts.usage();
    return snapshotBytes + logBytes + MERGE_OVERHEAD_BYTES;
  }

  /** Limit for puts. */
  get #limitBytes(): number {
    return (this.#parts.maxBytes ?? Infinity) - this.#reserveBytes;
  }

  /** Bytes that count towards `maxBytes`. */
  get #takenBytes(): number {
    const { retainBytes, usage } = this.#parts;
    const { snapshotBytes, logFileBytes } = usage();
    return snapshotBytes + logFileBytes + retainBytes + this.#mergeBytes;
  }

  #room(): Room {
    const { maxBytes, usage } = this.#parts;
    if (maxBytes === undefined) return { puts: Infinity, deletes: Infinity };
    const takenBytes = this.#takenBytes + GROUP_OVERHEAD_BYTES;
    return {
      puts: this.#limitBytes - takenBytes,
      // The second term: if the store already exceeds its limit, only deletes can make it smaller.
      deletes: Math.max(maxBytes - takenBytes, this.#reserveBytes - usage().logBytes),
    };
  }

  /**
   * Sets `refusal` of each batch that lacks space. Batches with a refusal are left out of the
   * group.
   */
  *judge(batches: readonly QueuedBatch[]): Flow<void> {
    const room = this.#room();
    if (this.#isReserveGivenUp && !(yield* waited(this.#hasReserveAgain()))) room.puts = 0;
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
    return neededBytes <= room.deletes && (yield* isOnlyDeletes(packed, this.#parts.pause));
  }

  async #hasReserveAgain(): Promise<boolean> {
    if (this.#isLentToMerge || this.#isLentToGroup) return false;
    if (!(await this.#parts.reserveFile!.make())) return false;
    this.observe();
    return true;
  }

  #refuse(batch: QueuedBatch, cause?: unknown): void {
    const { maxBytes, directory, relieve } = this.#parts;
    const isDisk = maxBytes === undefined || this.#isReserveGivenUp;
    batch.refusal = new StoreFullError(
      isDisk
        ? `the disk of ${directory} is full: only deletes are accepted until space is free`
        : `the batch would exceed the ${maxBytes} bytes of ${directory}, of which ` +
            `${this.#mergeBytes} are kept for the next merge and ${this.#reserveBytes} for deletes; ` +
            'deletes are still accepted',
      {
        cause,
        outcome: 'not-applied',
        path: directory,
        limitBytes: isDisk ? undefined : maxBytes,
        usedBytes: isDisk ? undefined : this.#takenBytes,
      },
    );
    // A batch may be refused only because it is large. That does not mean that the store is full.
    if (isDisk || this.#takenBytes >= RECOVERED_FRACTION * this.#limitBytes) this.#becomeFull();
    relieve();
  }

  /**
   * Called when a group met a full disk. Releases the reserve if some batches of the group can then
   * be written: those with puts are refused, and the rest may be retried. Resolves with whether to
   * retry.
   */
  *makeRoomForDeletes(batches: readonly QueuedBatch[], error: StoreFullError): Flow<boolean> {
    const { reserveFile, pause } = this.#parts;
    const puts: QueuedBatch[] = [];
    for (const batch of batches) {
      if (!(yield* isOnlyDeletes(batch.packed!, pause))) puts.push(batch);
    }
    this.#isDiskFull = true;
    this.#becomeFull();
    void this.#measure();
    if (reserveFile === undefined || puts.length === batches.length) return false;
    if (!(yield* waited(reserveFile.giveUp()))) return false;
    // If inodes are lacking, creating the reserve again would take the inode that it released.
    this.#isLentToGroup = true;
    // Without the puts, conditions must be evaluated again.
    for (const batch of batches) batch.refusal = undefined;
    for (const batch of puts) this.#refuse(batch, error.cause);
    this.#becomeFull();
    return true;
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

  /** Called when a merge has ended, successfully or not. */
  mergeEnded(): void {
    this.#isLentToMerge = false;
    if (this.#isReserveGivenUp) void this.#hasReserveAgain();
    else void this.#parts.reserveFile?.make();
    void this.look();
  }

  /** Updates the state, and emits an event once per crossing. */
  observe(): void {
    const { onLow, onRecovered } = this.#parts;
    const limitBytes = this.#limitBytes;
    const takenBytes = this.#takenBytes;
    if (this.#state === 'ample') {
      if (takenBytes < LOW_FRACTION * limitBytes && !this.#isDiskScarce(1)) return;
      this.#state = 'low';
      onLow(this.figures);
      return;
    }
    if (this.#isReserveGivenUp || this.#isDiskFull) return;
    const hasRoom = takenBytes < RECOVERED_FRACTION * limitBytes;
    if (hasRoom && !this.#isDiskScarce(RECOVERED_DISK_FRACTION)) {
      this.#state = 'ample';
      onRecovered(this.figures);
    } else if (this.#parts.maxBytes === undefined) this.#state = 'low';
  }

  #becomeFull(): void {
    const wasAmple = this.#state === 'ample';
    this.#state = 'full';
    if (wasAmple) this.#parts.onLow(this.figures);
  }

  async close(): Promise<void> {
    await this.#parts.reserveFile?.close();
  }
}

function* isOnlyDeletes(
  { rows, recordCount, hasIntervals }: PackedBatch,
  pause: SpaceKeeperParts['pause'],
): Flow<boolean> {
  // A delete of one key has no data.
  if (!hasIntervals && rows.length !== recordCount * ROW_HEADER_BYTES) return false;
  const view = viewOf(rows);
  let untilPause = SLICE_ROWS;
  for (let offset = 0; offset < rows.length; offset += rowLengthAt(view, offset)) {
    if (!isDeleteRow(view, offset)) return false;
    if (--untilPause > 0) continue;
    untilPause = SLICE_ROWS;
    yield* waited(pause?.());
  }
  return true;
}
