import { viewOf } from '../../base/bytes.ts';
import { StoreFullError } from '../../base/errors.ts';
import { waited, type Flow } from '../../base/flow.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { isDeleteRow } from '../../format/row.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { ReserveFile, ReserveState } from './reserve-file.ts';
import type { PackedBatch } from '../batch/packed-batch.ts';

/**
 * `low`: nine tenths of the space for puts under `maxBytes` are used, or a merge may not find space
 * on the disk; `full`: puts are refused, because of `maxBytes` or the disk.
 */
export type SpaceState = 'ample' | 'low' | 'full';

/**
 * Bytes on disk, and the limits on them. A read-only store writes nothing and does not look at the
 * disk: `usedBytes` is what it read at open, `mergeBytes` and `reserveBytes` are 0, `maxBytes`,
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
  /** Logs with the zeros reserved in them, and the log prepared ahead. */
  readonly logFileBytes: number;
  /** What of that is written. */
  readonly logBytes: number;
  /** Merged logs that are kept for those who follow changes. */
  readonly retainedBytes: number;
}

export interface SpaceKeeperParts {
  readonly directory: string;
  readonly maxBytes: number | undefined;
  /** What merged logs may take: set aside, so that keeping one never makes a merge too large. */
  readonly retainBytes: number;
  readonly reserveFile: ReserveFile | undefined;
  readonly usage: () => SpaceUsage;
  /** Puts are refused: a merge may free something. */
  readonly relieve: () => void;
  readonly onLow: (figures: SpaceFigures) => void;
  readonly onRecovered: (figures: SpaceFigures) => void;
  /** Gives way to other work; undefined where groups are judged without. */
  readonly pause: (() => Promise<void>) | undefined;
  /** What is free on the disk. */
  readonly freeBytes: () => Promise<number>;
}

const MIN_RESERVE_BYTES: number = 1024 * 1024;
const LOW_FRACTION = 0.9;
const RECOVERED_FRACTION = 0.8;
/** The disk has room again where this much more is free than a merge may need. */
const RECOVERED_DISK_FRACTION = 1.25;
/** A disk that refused a write is full until this is free, or a put has been written. */
const LEAST_FREE_BYTES: number = 512 * 1024;
/** Headers of a group and of a new log, and the end of its last block. */
const GROUP_OVERHEAD_BYTES: number = 8 * 1024;
/** What a merge may need beyond the bytes that it takes in. */
const MERGE_OVERHEAD_BYTES: number = 64 * 1024;
/** A row in the log will be a row in a snapshot: room is kept for both. */
const BYTES_PER_ROW_BYTE = 2;
/** Rows looked at before the event loop is looked after again. */
const SLICE_ROWS = 16_384;

/** Bytes that the batches of a group may still take. */
interface Room {
  puts: number;
  deletes: number;
}

/**
 * Keeps the store within `maxBytes`, and deletes and merges possible where puts no longer are.
 * Space is judged when a group is formed, batch by batch, by uncompressed rows.
 */
export class SpaceKeeper {
  readonly #parts: SpaceKeeperParts;
  readonly #reserveBytes: number;
  #state: SpaceState = 'ample';
  #isLentToMerge = false;
  /** What was given up last is for the group that is tried again. */
  #isLentToGroup = false;
  /** The disk had no room for a put. */
  #isDiskFull = false;
  #diskFreeBytes: number | undefined;
  #seenFileBytes = 0;

  constructor(parts: SpaceKeeperParts) {
    this.#parts = parts;
    const { maxBytes } = parts;
    this.#reserveBytes =
      maxBytes === undefined ? 0 : Math.max(MIN_RESERVE_BYTES, Math.ceil(maxBytes / 50));
  }

  /** Called once, when all that `usage` asks is there. The reserve is made in the background. */
  start(): void {
    this.observe();
    void this.#parts.reserveFile?.make().then(() => {
      if (this.#isReserveGivenUp) this.#becomeFull();
    });
    void this.look();
  }

  /** Looks at what is free on the disk. Never rejects. */
  async look(): Promise<void> {
    await this.#measure();
    if ((this.#diskFreeBytes ?? 0) >= LEAST_FREE_BYTES) this.#isDiskFull = false;
    this.observe();
  }

  async #measure(): Promise<void> {
    this.#diskFreeBytes = await this.#parts.freeBytes().catch(() => undefined);
  }

  /**
   * A group has been written to a log of `fileBytes`. The disk is looked at where the file has
   * grown, and after it was full: a group of deletes does not show that it has room for puts.
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

  /** True when groups have to be judged: asked first, since it costs nothing. */
  get isLimited(): boolean {
    return this.#parts.maxBytes !== undefined || this.#isReserveGivenUp || this.#isDiskFull;
  }

  /** A file is kept that a full disk gives up. */
  get hasReserve(): boolean {
    return this.#parts.reserveFile !== undefined;
  }

  /** Before the next group it is looked whether that file can be had back. */
  get waitsForReserve(): boolean {
    return this.#isReserveGivenUp;
  }

  get #putBytes(): number | undefined {
    if (this.#isReserveGivenUp || this.#isDiskFull) return 0;
    const roomBytes = Math.max(0, this.#room().puts) / BYTES_PER_ROW_BYTE;
    const putBytes = Math.min(Math.floor(roomBytes), this.#diskFreeBytes ?? Infinity);
    return putBytes === Infinity ? undefined : putBytes;
  }

  /** A merge may not find room on the disk. */
  #isDiskScarce(factor: number): boolean {
    const freeBytes = this.#diskFreeBytes ?? Infinity;
    return this.#isDiskFull || freeBytes < factor * this.#mergeBytes;
  }

  /** True when merges should not wait until the logs are as long as the snapshot. */
  get isScarce(): boolean {
    const { maxBytes, reserveFile } = this.#parts;
    if (maxBytes !== undefined || this.#isReserveGivenUp) return this.#state !== 'ample';
    // A merge that is not due yet is not what a reserve is given up for.
    return this.#isDiskFull && reserveFile === undefined;
  }

  /**
   * Whether a new log may take its usual size. Not before the reserve is kept: the zeros of a log
   * would take the space that was given up for deletes and merges.
   */
  get isRoomForZeros(): boolean {
    const { reserveFile } = this.#parts;
    return reserveFile === undefined || reserveFile.state === 'kept';
  }

  /** How long the live log, now `fileBytes`, may grow by zeros reserved ahead. */
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

  /** What puts may use. */
  get #limitBytes(): number {
    return (this.#parts.maxBytes ?? Infinity) - this.#reserveBytes;
  }

  /** What counts against `maxBytes`. */
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
      // The second: of a store that is over its limit already, deletes alone make a smaller one.
      deletes: Math.max(maxBytes - takenBytes, this.#reserveBytes - usage().logBytes),
    };
  }

  /**
   * Sets `refusal` of each batch for which there is no room. Batches with a refusal are left out.
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
    // A batch that is merely large says nothing of the rest.
    if (isDisk || this.#takenBytes >= RECOVERED_FRACTION * this.#limitBytes) this.#becomeFull();
    relieve();
  }

  /**
   * A group met a full disk. Gives up the reserve if that lets some of it through: then its puts
   * are refused, and the rest may be tried again. Resolves with whether it may.
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
    // Where inodes are lacking, to make the reserve again would take the one that it gave.
    this.#isLentToGroup = true;
    // Without the puts, other conditions may hold.
    for (const batch of batches) batch.refusal = undefined;
    for (const batch of puts) this.#refuse(batch, error.cause);
    this.#becomeFull();
    return true;
  }

  /**
   * A merge finds too little room. Gives up the reserve if that is enough; resolves with whether it
   * was.
   */
  async lendToMerge(missingBytes: number): Promise<boolean> {
    const { reserveFile } = this.#parts;
    if (reserveFile === undefined || missingBytes > reserveFile.heldBytes) return false;
    if (!(await reserveFile.giveUp())) return false;
    this.#isLentToMerge = true;
    this.#becomeFull();
    return true;
  }

  /** A merge has ended, well or not. */
  mergeEnded(): void {
    this.#isLentToMerge = false;
    if (this.#isReserveGivenUp) void this.#hasReserveAgain();
    else void this.#parts.reserveFile?.make();
    void this.look();
  }

  /** Looks at what is used, and tells of it once per crossing. */
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
  { rows, recordCount }: PackedBatch,
  pause: SpaceKeeperParts['pause'],
): Flow<boolean> {
  // A delete has no data.
  if (rows.length !== recordCount * ROW_HEADER_BYTES) return false;
  const view = viewOf(rows);
  let untilPause = SLICE_ROWS;
  for (let offset = 0; offset < rows.length; offset += ROW_HEADER_BYTES) {
    if (!isDeleteRow(view, offset)) return false;
    if (--untilPause > 0) continue;
    untilPause = SLICE_ROWS;
    yield* waited(pause?.());
  }
  return true;
}
