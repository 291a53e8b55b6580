import { NoSpaceError } from '../node-errors.ts';
import type { Marks } from '../objects/marks.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import type { SpaceGauge } from '../objects/space-gauge.ts';
import type { Appended } from '../volumes/group-writer.ts';
import { isRecordSound } from '../volumes/record.ts';
import { walkRecords, type WalkedRecord } from '../volumes/record-walk.ts';
import { HEADER_BYTES } from '../volumes/volume-header.ts';
import type { Volume } from '../volumes/volume.ts';
import type { Liveness } from './liveness.ts';
import type { Pace } from './pace.ts';

/** Records are copied so many bytes at a time: one group, one batch. */
const BATCH_BYTES = 4 * 2 ** 20;
const BATCH_RECORDS = 1_000;
/** With less than so many reserves free, volumes with less dead in them are compacted too. */
const AMPLE_RESERVES = 8;

export interface CompactionCounts {
  readonly runs: number;
  /** Copied, and referred to there. */
  readonly rescued: number;
  /** Copied, and deleted or overwritten meanwhile. */
  readonly lost: number;
  /** Dead when it was their turn. */
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
  readonly deadRatio: number;
}

/**
 * Gives the space of dead records back: copies what lives in a sealed volume to a new one, refers
 * to the copies, and retires the volume. Writers and readers go on meanwhile: a record that is
 * deleted or overwritten while it is copied is lost, not brought back, since a copy is referred to
 * only where the original was until then. A copy keeps its sequence.
 */
export class Compactor {
  readonly #options: CompactorOptions;
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

  /** Whether it may be emptied now: nobody writes to it. */
  #isQuiet(volume: Volume): boolean {
    const { writers } = this.#options.parts;
    return (
      volume.state === 'sealed' &&
      volume.pending === 0 &&
      volume.damage === undefined &&
      !writers.isWritten(volume)
    );
  }

  /** Sealed volumes in which nothing lives. */
  empty(): Volume[] {
    return [...this.#options.parts.volumes].filter(
      (volume) => this.#isQuiet(volume) && volume.liveBytes === 0 && volume.markBytes === 0,
    );
  }

  /** The share of dead bytes from which on a volume is compacted: lower when space is scarce. */
  get threshold(): number {
    const { space, deadRatio } = this.#options;
    const reserves = space.freeBytes / Math.max(1, space.reserveBytes);
    return deadRatio * Math.min(1, Math.max(0.1, reserves / AMPLE_RESERVES));
  }

  #deadShare(volume: Volume): number {
    const bytes = volume.writtenBytes - HEADER_BYTES;
    if (bytes <= 0) return 1;
    // Marks of the oldest volume are about nothing older.
    const isOldest = [...this.#options.parts.volumes].every(
      (other) => other.kind === 'index' || other.number >= volume.number,
    );
    const dead = volume.deadBytes + (isOldest ? volume.markBytes : 0);
    return dead / bytes;
  }

  /** The volume from which most is gained, if one is worth it and its copies fit the disk. */
  next(): Volume | undefined {
    const { space, parts } = this.#options;
    const room = space.freeBytes - BATCH_BYTES;
    return [...parts.volumes]
      .filter((volume) => volume.kind !== 'bucket' && this.#isQuiet(volume))
      .map((volume) => ({ volume, share: this.#deadShare(volume) }))
      .filter(({ volume, share }) => {
        return share >= this.threshold && volume.liveBytes + volume.markBytes <= room;
      })
      .sort((one, other) => other.share - one.share)[0]?.volume;
  }

  /**
   * Empties a volume. False: it is damaged, and stays, so that what can be read of it is read.
   *
   * @throws NoSpaceError; what writers and the publisher throw. What was moved is moved.
   */
  async compact(volume: Volume): Promise<boolean> {
    const { parts, liveness, pace } = this.#options;
    this.#counts.runs++;
    const current = { volume, doneBytes: 0 };
    this.current = current;
    // The next batch is read while the one before it is written and published.
    let moving: Promise<void> = Promise.resolve();
    const move = async (records: readonly WalkedRecord[]): Promise<void> => {
      await moving;
      moving = this.#move(volume, records);
      // Thrown by whoever waits for it next.
      moving.catch(() => undefined);
    };
    volume.pin();
    try {
      let batch: WalkedRecord[] = [];
      let batchBytes = 0;
      for await (const { record, gap } of walkRecords(parts.volumes, volume, volume.endBytes)) {
        const at = record ?? gap;
        current.doneBytes = at.offset + at.lengthBytes;
        this.#counts.readBytes += at.lengthBytes;
        await pace.spent(at.lengthBytes);
        if (record === undefined) {
          this.#foundDamage(volume, gap.offset, 'there is no valid record');
          continue;
        }
        if (!liveness.isLive(volume, record, (key) => parts.store.get(key))) {
          this.#counts.skipped++;
          continue;
        }
        if (!isRecordSound(record.header, record.bytes)) {
          this.#foundDamage(volume, record.offset, 'the record is damaged');
          continue;
        }
        batch.push(record);
        batchBytes += record.lengthBytes;
        if (batchBytes < BATCH_BYTES && batch.length < BATCH_RECORDS) continue;
        await move(batch);
        batch = [];
        batchBytes = 0;
      }
      if (batch.length > 0) await move(batch);
      await moving;
    } finally {
      await moving.catch(() => undefined);
      volume.unpin();
      this.current = undefined;
    }
    if (volume.damage !== undefined) return false;
    if (volume.liveBytes !== 0) {
      this.#foundDamage(volume, 0, `${volume.liveBytes} live bytes were not found`);
      return false;
    }
    await this.#dropMarks(volume);
    return true;
  }

  /** The volume stays as it is from here on. */
  #foundDamage(volume: Volume, offset: number, message: string): void {
    const error = this.#options.parts.volumes.tell(
      volume,
      offset,
      `${message}: it is not compacted`,
    );
    volume.damage ??= error.message;
  }

  async #move(volume: Volume, batch: readonly WalkedRecord[]): Promise<void> {
    const { parts, liveness, space } = this.#options;
    const bytes = batch.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    if (space.freeBytes < bytes) throw new NoSpaceError(bytes, space.freeBytes);
    const writer = volume.kind === 'index' ? parts.writers.index : parts.writers.copies;
    const results = await Promise.allSettled(batch.map((record) => writer.append(record.bytes)));
    const copies = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    try {
      const failed = results.find((one) => one.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      const moved = await parts.publisher.submit((turn) =>
        batch.map((record, i) => liveness.move(turn, volume, record, copies[i]!)),
      );
      this.#count(batch, moved, copies);
    } finally {
      for (const copy of copies) copy.settle();
    }
  }

  #count(
    batch: readonly WalkedRecord[],
    moved: readonly boolean[],
    copies: readonly Appended[],
  ): void {
    const { liveness, marks } = this.#options;
    for (const [i, record] of batch.entries()) {
      this.#counts.copiedBytes += copies[i]!.lengthBytes;
      if (moved[i] === true) {
        this.#counts.rescued++;
        continue;
      }
      this.#counts.lost++;
      // The copy is in a volume that the tombstone may not know of.
      if (record.header.kind !== 'object' || liveness.isNameTaken(record)) continue;
      const name = Buffer.from(liveness.nameOf(record)!, 'latin1');
      const sequence = this.#options.parts.counters.takeSerial();
      marks.tombstone({ bucket: { id: record.header.bucketId }, name, sequence });
    }
  }

  /** Marks that are about nothing any more were not copied. */
  async #dropMarks(volume: Volume): Promise<void> {
    if (volume.markBytes === 0) return;
    await this.#options.parts.publisher.submit((turn) => turn.unmark(volume, volume.markBytes));
  }

  /** Removes the file of a volume that is empty, when nobody reads it any more. */
  async retire(volume: Volume): Promise<void> {
    const { volumes } = this.#options.parts;
    const { writtenBytes } = volume;
    await volumes.retire(volume);
    this.#counts.reclaimedBytes += writtenBytes;
    this.#counts.retired++;
  }
}
