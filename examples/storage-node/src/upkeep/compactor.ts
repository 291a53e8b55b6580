import { NoSpaceError } from '../node-errors.ts';
import type { Marks } from '../objects/marks.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import type { SpaceGauge } from '../objects/space-gauge.ts';
import type { Appended } from '../volumes/group-writer.ts';
import { isRecordSound } from '../volumes/record.ts';
import { walkWindows, WindowBuffers } from '../volumes/record-walk.ts';
import type { WalkedRecord, WalkedWindow } from '../volumes/record-walk.ts';
import { GROUP_ALIGN_BYTES, HEADER_BYTES } from '../volumes/volume-header.ts';
import type { Pin, Volume } from '../volumes/volume.ts';
import type { Liveness } from './liveness.ts';
import { markLostCopy } from './mark-lost-copy.ts';
import { noteDamage } from './note-damage.ts';
import { Outbox } from './outbox.ts';
import { READERS_MS, type Pace } from './pace.ts';
import { nextTurn } from '../turn-pace.ts';

/** Maximum number of records that are copied with one write and one sync. */
const BATCH_BYTES = 8 * 2 ** 20;
const BATCH_RECORDS = 8_192;
/** Maximum number of copies that are published in one turn. */
const RECORDS_OF_TURN = 1_024;
/** Number of records that are examined without yielding to others. */
const RECORDS_AT_ONCE = 256;
/** Bytes that are read, copied and freed in one step, where all copies do not fit. */
const STEP_BYTES = 2 ** 20;
/** Bytes that must be free for a step: its copies, and the records of the metadata. */
export const STEP_ROOM_BYTES = 2 * STEP_BYTES;
export interface CompactionCounts {
  readonly runs: number;
  /** Copied, and the copy is referred to. */
  readonly rescued: number;
  /** Copied, but deleted or overwritten meanwhile. */
  readonly lost: number;
  /** Dead when they were processed. */
  readonly skipped: number;
  readonly readBytes: number;
  readonly copiedBytes: number;
  readonly reclaimedBytes: number;
  /** Volumes that were removed. */
  readonly retired: number;
}

export interface CompactorOptions {
  readonly parts: NodeParts;
  readonly space: SpaceGauge;
  readonly liveness: Liveness;
  readonly marks: Marks;
  readonly pace: Pace;
  /** The node is being closed: what is under way ends early. */
  readonly stop: AbortSignal;
}

/**
 * - `at-once`: the volume is removed when all its live records are copied, which needs free space
 *   for them.
 * - `in-steps`: after each few copies, what was copied is freed by a hole, which needs more syncs
 *   and waits for readers.
 */
export type CompactionWay = 'at-once' | 'in-steps';

interface CompactionBuffers {
  readonly windows: WindowBuffers;
  readonly outboxes: readonly [Outbox, Outbox];
}

/**
 * Frees the space of dead records: copies the live records of a sealed volume to a new one, updates
 * the references, and retires the volume. Writers and readers continue meanwhile. A record that is
 * deleted or overwritten while it is copied is not brought back, because the copy is only referred
 * to if the original still was. A copy keeps its sequence.
 */
export class Compactor {
  readonly #options: CompactorOptions;
  /** About 24 MiB, while there is something to compact. */
  #buffers: CompactionBuffers | undefined;
  #counts = {
    runs: 0,
    rescued: 0,
    lost: 0,
    skipped: 0,
    readBytes: 0,
    copiedBytes: 0,
    reclaimedBytes: 0,
    retired: 0,
  };
  current: { readonly volume: Volume; doneBytes: number } | undefined;

  constructor(options: CompactorOptions) {
    this.#options = options;
  }

  get counts(): CompactionCounts {
    return this.#counts;
  }

  /**
   * Empties a volume. False if it is damaged; then it stays, so that its readable data can be read.
   * False too if the node is being closed, or the next step has to wait for space or readers.
   *
   * @throws NoSpaceError; the errors of writers and the publisher. Records that were moved stay
   *   moved.
   */
  async compact(volume: Volume, way: CompactionWay = 'at-once'): Promise<boolean> {
    this.#counts.runs++;
    this.current = { volume, doneBytes: 0 };
    volume.isBeingEmptied = true;
    const pin = volume.pin();
    try {
      return await this.#empty(volume, way, pin);
    } finally {
      pin.release();
      volume.isBeingEmptied = false;
      this.current = undefined;
      await this.#options.parts.writers.endCopies(volume);
    }
  }

  async #empty(volume: Volume, way: CompactionWay, pin: Pin): Promise<boolean> {
    try {
      const isWhole =
        way === 'at-once' ? await this.#moveAll(volume) : await this.#moveInSteps(volume, pin);
      if (!isWhole) return false;
    } catch (error) {
      noteDamage(volume, error);
      return false;
    }
    if (volume.liveBytes !== 0) {
      if (volume.damage === undefined) {
        this.#foundDamage(volume, 0, `${volume.liveBytes} live bytes were not found`);
      }
      return false;
    }
    // No damaged record is live.
    await this.#dropMarks(volume);
    return true;
  }

  /**
   * Three steps run concurrently: one window is read, the preceding one is examined, and records
   * collected before that are written and published. False if the node is being closed.
   */
  async #moveAll(volume: Volume): Promise<boolean> {
    const { parts, pace, stop } = this.#options;
    this.#buffers ??= {
      windows: new WindowBuffers(),
      outboxes: [new Outbox(BATCH_BYTES, BATCH_RECORDS), new Outbox(BATCH_BYTES, BATCH_RECORDS)],
    };
    const { windows } = this.#buffers;
    let [filling, spare] = this.#buffers.outboxes;
    let moving: Promise<void> = Promise.resolve();
    const send = async (): Promise<void> => {
      await moving;
      const outbox = filling;
      moving = this.#move(volume, outbox).finally(() => outbox.clear());
      // The error is thrown where it is awaited.
      moving.catch(() => undefined);
      [filling, spare] = [spare, filling];
    };
    try {
      const { volumes } = parts;
      for await (const window of walkWindows(volumes, volume, volume.endBytes, windows)) {
        this.#foundGaps(volume, window);
        for (const [i, record] of window.records.entries()) {
          if (i % RECORDS_AT_ONCE === RECORDS_AT_ONCE - 1) await nextTurn();
          if (!this.#isToMove(volume, record)) continue;
          if (!filling.hasRoom(record.lengthBytes)) await send();
          filling.add(record);
        }
        this.#hasRead(window);
        await pace.spent(window.lengthBytes);
        if (stop.aborted) break;
      }
      if (filling.records.length > 0) await send();
    } finally {
      // A buffer that is being written is not returned.
      await moving.catch(() => undefined);
    }
    await moving;
    return !stop.aborted;
  }

  /**
   * As `moveAll`, one window after the other: when its copies are published, what stands before its
   * last group is freed. A hole ends where a group begins, so that the volume can be walked. False
   * if the node is being closed, a record cannot be read, somebody reads the volume for long, or
   * there is no space for the next step.
   */
  async #moveInSteps(volume: Volume, pin: Pin): Promise<boolean> {
    const { parts, pace, space, stop } = this.#options;
    const { volumes } = parts;
    const outbox = new Outbox(STEP_BYTES, BATCH_RECORDS);
    const send = async (): Promise<void> => {
      await this.#move(volume, outbox).finally(() => outbox.clear());
    };
    // Without it, the first step would copy what it cannot free.
    if (!(await volume.released({ own: pin, stop, mostMs: READERS_MS }))) return false;
    let freedTo = HEADER_BYTES;
    const windows = new WindowBuffers();
    for await (const window of walkWindows(volumes, volume, volume.endBytes, windows, STEP_BYTES)) {
      this.#foundGaps(volume, window);
      const isRoom = (await space.look()) >= STEP_ROOM_BYTES + window.lengthBytes - STEP_BYTES;
      if (stop.aborted || !isRoom || volume.damage !== undefined) return false;
      for (const record of window.records) {
        if (!this.#isToMove(volume, record)) continue;
        if (!outbox.hasRoom(record.lengthBytes)) await send();
        outbox.add(record);
      }
      if (outbox.records.length > 0) await send();
      if (volume.damage !== undefined) return false;
      this.#hasRead(window);
      const end = startOfLastGroup(window);
      if (end > freedTo) {
        // Who opened an object before it was moved may read it still.
        if (!(await volume.released({ own: pin, stop, mostMs: READERS_MS }))) return false;
        const bytes = await volumes.punch(volume, [{ from: freedTo, lengthBytes: end - freedTo }]);
        if (!volumes.canPunch) return false;
        volume.freedBytes += bytes;
        volume.punchedDeadBytes = Math.max(volume.punchedDeadBytes, end - HEADER_BYTES);
        this.#counts.reclaimedBytes += bytes;
        freedTo = end;
      }
      await pace.spent(window.lengthBytes);
    }
    return true;
  }

  #hasRead({ endOffset, lengthBytes }: WalkedWindow): void {
    this.current!.doneBytes = endOffset;
    this.#counts.readBytes += lengthBytes;
  }

  #foundGaps(volume: Volume, { gaps }: WalkedWindow): void {
    for (const { offset } of gaps) {
      this.#foundDamage(volume, offset, 'there is no valid record');
    }
  }

  /** Nothing will be compacted for a while. */
  rest(): void {
    this.#buffers = undefined;
  }

  #isToMove(volume: Volume, record: WalkedRecord): boolean {
    if (!this.#options.liveness.isLive(volume, record)) {
      this.#counts.skipped++;
      return false;
    }
    if (isRecordSound(record.header, record.bytes)) return true;
    this.#foundDamage(volume, record.offset, 'the record is damaged: it is not compacted');
    return false;
  }

  /** Reported once. While the volume has live data, it stays as it is. */
  #foundDamage(volume: Volume, offset: number, message: string): void {
    noteDamage(volume, this.#options.parts.volumes.tell(volume, offset, message));
  }

  async #move(volume: Volume, { bytes, records }: Outbox): Promise<void> {
    const { parts, liveness, space } = this.#options;
    if (space.freeBytes < bytes.length) throw new NoSpaceError(bytes.length, space.freeBytes);
    const writer = parts.writers.forCopiesOf(volume);
    const lengths = records.map(({ lengthBytes }) => lengthBytes);
    const copies = await writer.appendAll(bytes, lengths);
    try {
      // Turns are short, so that concurrent writers do not wait for all of it.
      for (let from = 0; from < records.length; from += RECORDS_OF_TURN) {
        const some = records.slice(from, from + RECORDS_OF_TURN);
        const moved = await parts.publisher.submit((turn) =>
          some.map((record, i) => liveness.move(turn, volume, record, copies[from + i]!)),
        );
        this.#count(some, moved, copies.slice(from, from + RECORDS_OF_TURN));
      }
    } finally {
      for (const copy of copies) copy.settle();
    }
  }

  #count(
    batch: readonly WalkedRecord[],
    moved: readonly boolean[],
    copies: readonly Appended[],
  ): void {
    for (const [i, record] of batch.entries()) {
      this.#counts.copiedBytes += copies[i]!.lengthBytes;
      if (moved[i] === true) {
        this.#counts.rescued++;
        continue;
      }
      this.#counts.lost++;
      markLostCopy(record, this.#options);
    }
  }

  /** Marks that are no longer needed were not copied. */
  async #dropMarks(volume: Volume): Promise<void> {
    if (volume.markBytes === 0) return;
    await this.#options.parts.publisher.submit((turn) => turn.unmark(volume, volume.markBytes));
  }

  /** Removes the file of an empty volume once nobody reads it. */
  async retire(volume: Volume): Promise<void> {
    const { volumes } = this.#options.parts;
    await volumes.retire(volume);
    this.#counts.reclaimedBytes += Math.max(0, volume.writtenBytes - volume.freedBytes);
    this.#counts.retired++;
  }
}

/** A record that begins at a whole block begins a group, or may as well; 0: there is none. */
function startOfLastGroup({ records }: WalkedWindow): number {
  return records.findLast(({ offset }) => offset % GROUP_ALIGN_BYTES === 0)?.offset ?? 0;
}
