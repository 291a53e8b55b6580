import { decodeScrubState, encodeScrubState, SCRUB_KEY } from '../ledger/scrub-record.ts';
import type { ScrubState } from '../ledger/scrub-record.ts';
import { DamagedObjectError, quoted } from '../node-errors.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import { isRecordSound } from '../volumes/record.ts';
import { walkWindows, WindowBuffers } from '../volumes/record-walk.ts';
import type { Volume } from '../volumes/volume.ts';
import type { Liveness } from './liveness.ts';
import type { Pace } from './pace.ts';
import { nextTurn } from '../turn-pace.ts';

/** A live record, or its place, that cannot be read. */
export interface Damage {
  readonly volume: number;
  readonly offsetBytes: number;
  readonly reason: string;
  readonly bucket?: string;
  readonly name?: string;
}

export interface ScrubReport {
  readonly volumes: number;
  readonly records: number;
  readonly liveRecords: number;
  readonly readBytes: number;
  readonly damages: readonly Damage[];
}

/** Number of damages that are listed; all are counted. */
const MOST_DAMAGES = 1_000;
/** Looked at without a turn for others. */
const RECORDS_AT_ONCE = 256;

/** Reads all live data in the volumes and verifies checksums. */
export class Scrubber {
  readonly #parts: NodeParts;
  readonly #liveness: Liveness;
  current: { readonly volume: Volume; doneBytes: number } | undefined;
  verifiedBytes = 0;
  damagedRecords = 0;
  #state: ScrubState;

  constructor(parts: NodeParts, liveness: Liveness) {
    this.#parts = parts;
    this.#liveness = liveness;
    this.#state = decodeScrubState(parts.store.get(SCRUB_KEY)?.data);
  }

  /** When a pass was last completed, in this run or an earlier one. */
  get finishedMs(): number | undefined {
    const { finishedMs } = this.#state;
    return finishedMs === 0 ? undefined : finishedMs;
  }

  /** True if a pass is to be continued, or none was completed for so long. */
  isDue(everyMs: number): boolean {
    const { nextVolume, finishedMs } = this.#state;
    const ageMs = this.#parts.now() - finishedMs;
    // The clock may have been wrong.
    return nextVolume > 0 || ageMs < 0 || ageMs > everyMs;
  }

  /** Continues the pass that is under way, or begins one. */
  async continue(pace: Pace, isWanted: () => boolean): Promise<void> {
    const { finishedMs, nextVolume } = this.#state;
    const onVolume = ({ number }: Volume): Promise<void> =>
      this.#record({ nextVolume: number + 1, finishedMs });
    await this.#scrub(pace, isWanted, onVolume, nextVolume);
  }

  /** A whole pass. `onVolume` is called after each volume. */
  scrub(
    pace: Pace,
    isWanted: () => boolean,
    onVolume?: (volume: Volume) => void,
  ): Promise<ScrubReport> {
    return this.#scrub(pace, isWanted, onVolume, 0);
  }

  async #record(state: ScrubState): Promise<void> {
    const { onError, publisher } = this.#parts;
    this.#state = state;
    if (publisher.failure !== undefined) return;
    const data = encodeScrubState(state);
    await publisher.submit((turn) => turn.put(SCRUB_KEY, 1n, data)).catch(onError);
  }

  async #scrub(
    pace: Pace,
    isWanted: () => boolean,
    onVolume: ((volume: Volume) => Promise<void> | void) | undefined,
    fromNumber: number,
  ): Promise<ScrubReport> {
    const { volumes, now } = this.#parts;
    const report = {
      volumes: 0,
      records: 0,
      liveRecords: 0,
      readBytes: 0,
      damages: [] as Damage[],
    };
    for (const volume of [...volumes].sort((one, other) => one.number - other.number)) {
      if (!isWanted()) return report;
      if (volume.number < fromNumber) continue;
      if (volume.state === 'retired' || volume.state === 'creating') continue;
      report.volumes++;
      const pin = volume.pin();
      this.current = { volume, doneBytes: 0 };
      try {
        await this.#scrubOne(volume, report, pace, isWanted);
      } finally {
        this.current = undefined;
        pin.release();
      }
      // What was read in part is read again.
      if (!isWanted()) return report;
      await onVolume?.(volume);
    }
    await this.#record({ nextVolume: 0, finishedMs: now() });
    return report;
  }

  async #scrubOne(
    volume: Volume,
    report: { records: number; liveRecords: number; readBytes: number; damages: Damage[] },
    pace: Pace,
    isWanted: () => boolean,
  ): Promise<void> {
    const { volumes, buckets, publisher } = this.#parts;
    const { endBytes: end, revivedBytes, damage } = volume;
    let liveBytes = 0;
    let isSound = true;
    const found = (offsetBytes: number, reason: string, bucketId = 0, name?: string): void => {
      this.damagedRecords++;
      isSound = false;
      const bucket = buckets.byId(bucketId)?.name;
      const text = name === undefined ? undefined : Buffer.from(name, 'latin1').toString('utf8');
      const path = [bucket ?? `bucket ${bucketId}`, text].join('/');
      const whose = text === undefined ? '' : ` (${quoted(path)})`;
      volumes.tell(volume, offsetBytes, `${reason}${whose}`);
      if (report.damages.length >= MOST_DAMAGES) return;
      report.damages.push({
        volume: volume.number,
        offsetBytes,
        reason,
        ...(bucket !== undefined && { bucket }),
        ...(text !== undefined && { name: text }),
      });
    };
    try {
      for await (const window of walkWindows(volumes, volume, end, new WindowBuffers())) {
        report.readBytes += window.lengthBytes;
        this.verifiedBytes += window.lengthBytes;
        this.current!.doneBytes = window.endOffset;
        if (window.gaps.length > 0) isSound = false;
        for (const [i, record] of window.records.entries()) {
          if (i % RECORDS_AT_ONCE === RECORDS_AT_ONCE - 1) await nextTurn();
          report.records++;
          const { header, offset } = record;
          if (this.#liveness.isMark(record)) {
            if (damage !== undefined && !isRecordSound(header, record.bytes)) isSound = false;
            continue;
          }
          if (!this.#liveness.isLive(volume, record)) continue;
          report.liveRecords++;
          liveBytes += record.lengthBytes;
          if (isRecordSound(header, record.bytes)) continue;
          const name = this.#liveness.nameOf(record);
          found(offset, 'the bytes are not what was stored', header.bucketId, name);
        }
        await pace.spent(window.lengthBytes);
        // The rest of a dropped volume need not stay for this.
        if (!isWanted() || volume.state === 'retired') return;
      }
    } catch (error) {
      if (!(error instanceof DamagedObjectError)) throw error;
      found(error.offsetBytes, 'the volume cannot be read from here on');
      return;
    }
    // What is live now and was before was found, or is lost. In a turn, because a record is visible
    // in the metadata a moment before it counts here. A failed node has none.
    const leastBytes = await publisher
      .submit(() => volume.liveBytes - (volume.revivedBytes - revivedBytes))
      .catch(() => undefined);
    if (leastBytes === undefined) return;
    if (liveBytes < leastBytes) {
      const missingBytes = leastBytes - liveBytes;
      found(0, `records of ${missingBytes} live bytes are not where they were stored`);
    }
    // The disk could not read it for a while. What was found since then stays.
    if (isSound && volume.endBytes === end && volume.damage === damage) volumes.mended(volume);
  }
}
