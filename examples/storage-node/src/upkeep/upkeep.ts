import type { Bucket } from '../ledger/bucket-record.ts';
import type { Marks } from '../objects/marks.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import type { Publication } from '../objects/publication.ts';
import type { SpaceGauge } from '../objects/space-gauge.ts';
import type { Uploads } from '../objects/uploads.ts';
import type { Volume } from '../volumes/volume.ts';
import { Compactor, STEP_ROOM_BYTES } from './compactor.ts';
import { CompactionChoice } from './compaction-choice.ts';
import { Evictor } from './evictor.ts';
import { HolePuncher } from './hole-puncher.ts';
import { Liveness } from './liveness.ts';
import { OneAtATime } from './one-at-a-time.ts';
import { Pace, READERS_MS } from './pace.ts';
import { Round } from './round.ts';
import { Scrubber, type ScrubReport } from './scrubber.ts';

export interface UpkeepOptions {
  readonly parts: NodeParts;
  readonly space: SpaceGauge;
  readonly publication: Publication;
  readonly uploads: Uploads;
  readonly marks: Marks;
  /** Acknowledged bytes of a bucket that are in no volume yet. */
  readonly unwrittenBytes: (bucket: Bucket) => number;
  readonly compactDeadRatio: number;
  readonly compactBytesPerSecond: number;
  readonly scrubBytesPerSecond: number;
  /** 0: never automatically. */
  readonly everyMs: number;
}

/** From the end of a complete pass of the scrubber to the next one. */
const SCRUB_EVERY_MS = 24 * 3_600_000;

/**
 * Frees space and finds damage in the background: checks the disk, evicts, compacts, retires,
 * punches holes if nothing else fits, and scrubs. One task of each kind at a time.
 */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly choice: CompactionChoice;
  readonly compactor: Compactor;
  readonly evictor: Evictor;
  readonly scrubber: Scrubber;
  readonly puncher: HolePuncher;
  readonly #retiring = new Map<Volume, Promise<void>>();
  /** Dropped volumes whose readers were waited for in vain. */
  readonly #readForLong = new WeakSet<Volume>();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #scrub: Promise<unknown> | undefined;
  readonly #stop = new AbortController();
  readonly #rounds = new OneAtATime();
  readonly #evictions = new OneAtATime();
  readonly #scrubs = new OneAtATime();

  constructor(options: UpkeepOptions) {
    this.#options = options;
    const { parts, space, publication, uploads, marks } = options;
    const liveness = new Liveness(parts);
    this.choice = new CompactionChoice({ parts, space, deadRatio: options.compactDeadRatio });
    this.compactor = new Compactor({
      parts,
      space,
      liveness,
      marks,
      pace: this.#pace(options.compactBytesPerSecond),
      stop: this.#stop.signal,
    });
    const { unwrittenBytes } = options;
    this.evictor = new Evictor({ parts, space, liveness, publication, uploads, unwrittenBytes });
    this.scrubber = new Scrubber(parts, liveness);
    this.puncher = new HolePuncher(parts, liveness, this.#stop.signal);
  }

  /** Its pauses end early when the node is closed, or `stop` is aborted. */
  #pace(bytesPerSecond: number, stop = this.#stop.signal): Pace {
    return new Pace(bytesPerSecond, (milliseconds) => pause(milliseconds, stop));
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  start(): void {
    const { everyMs, parts } = this.#options;
    if (everyMs === 0) return;
    this.#timer = setInterval(() => {
      if (this.#round !== undefined) return;
      this.#round = this.run()
        .then(() => undefined)
        .catch(parts.onError)
        .finally(() => (this.#round = undefined));
      this.#scrubIfDue();
    }, everyMs);
    this.#timer.unref();
  }

  #scrubIfDue(): void {
    const { parts, scrubBytesPerSecond } = this.#options;
    if (scrubBytesPerSecond === 0 || this.#scrub !== undefined) return;
    if (!this.scrubber.isDue(SCRUB_EVERY_MS)) return;
    const pace = this.#pace(scrubBytesPerSecond);
    this.#scrub = this.#scrubs
      .run(() => this.scrubber.continue(pace, () => !this.#isStopped))
      .catch(parts.onError)
      .finally(() => (this.#scrub = undefined));
  }

  /** Does everything that is due. Resolves to the number of volumes that were emptied. */
  run(): Promise<number> {
    return this.#rounds.run(() => this.#run().finally(() => this.compactor.rest()));
  }

  /** Every step is tried, whatever another one throws. @throws the first error */
  async #run(): Promise<number> {
    const { space, parts, marks } = this.#options;
    const round = new Round(this.#stop.signal);
    await round.step(() => space.look());
    await round.step(() => marks.writeKeptIfDue());
    await round.step(() => this.#retireLeft());
    await round.counted(() => this.#evictDue());
    await round.step(() => {
      const isWorth = this.choice.sealing();
      return parts.writers.sealWhere((one) => isWorth(one) || this.evictor.isLongWritten(one));
    });
    await round.counted(() => this.#retireEmpty());
    await this.#compactAll(round);
    await round.step(() => this.#measureDropped());
    await this.#freeInPlace(round);
    await round.step(() => space.refill());
    return round.end(parts.onError);
  }

  /** Frees what the readers of dropped volumes do not need. */
  async #retireLeft(): Promise<void> {
    for (const volume of this.#options.parts.volumes) {
      if (volume.state === 'retired') this.#retire(volume);
    }
    if (this.#retiring.size > 0) await this.#measureDropped();
  }

  async #retireEmpty(): Promise<number> {
    const empty = this.choice.empty();
    for (const volume of empty) this.#retire(volume);
    return empty.length;
  }

  /** A backlog takes hours: evictions and the reserve do not wait for its end. */
  async #compactAll(round: Round): Promise<void> {
    const { parts, space } = this.#options;
    const passed = new Set<Volume>();
    // Copies that are made now wait for the next round, so that this one ends.
    const endNumber = parts.volumes.nextNumber;
    for (;;) {
      const volume = this.choice.next(passed, endNumber);
      if (volume === undefined || this.#isStopped) break;
      passed.add(volume);
      await round.counted(async () => {
        if (await this.compactor.compact(volume)) this.#retire(volume);
        return 1;
      });
      // Marks are needed until the volume is removed.
      await round.step(() => this.#measureDropped());
      await round.counted(() => this.#evictDue());
      await round.step(() => space.refill());
    }
  }

  /** Resolves to the number of dropped volumes. */
  async #evictDue(): Promise<number> {
    let count = 0;
    // One that cannot drop anything now does not keep others from it.
    const passed = new Set<Bucket>();
    while (this.evictor.next(passed) !== undefined) {
      // The effect of dropped volumes is measured before the next one is dropped.
      await this.#measureDropped();
      const bucket = this.evictor.next(passed);
      if (bucket === undefined || this.#isStopped) break;
      const dropped = await this.#drop(() => this.evictor.evictDue(bucket));
      if (dropped === undefined) passed.add(bucket);
      else count++;
    }
    if (count > 0) await this.#measureDropped();
    return count;
  }

  /** Looks at the disk when dropped volumes are removed, or freed except for what is read. */
  async #measureDropped(): Promise<void> {
    const dropped = [...this.#retiring];
    await Promise.all(dropped.map(([volume, removed]) => this.#freed(volume, removed)));
    await this.#options.space.look();
  }

  async #freed(volume: Volume, removed: Promise<void>): Promise<void> {
    const mostMs = this.#readForLong.has(volume) ? 0 : READERS_MS;
    const isUnread = await volume.released({ stop: this.#stop.signal, mostMs });
    if (isUnread) {
      await removed;
      return;
    }
    this.#readForLong.add(volume);
    if (!this.#isStopped) await this.puncher.punchDropped(volume);
  }

  /**
   * Frees space where copies do not fit: one volume by holes, then one in steps, in turn. Under
   * load the former never end, and only the latter free small objects.
   */
  async #freeInPlace(round: Round): Promise<void> {
    const { parts, space } = this.#options;
    const tooLarge = this.choice.tooLarge();
    if (!space.isScarce && tooLarge.length === 0) return;
    const passed = new Set<Volume>();
    while (parts.volumes.canPunch && !this.#isStopped) {
      const toPunch = this.puncher.next(passed);
      if (toPunch !== undefined) {
        passed.add(toPunch);
        await round.step(() => this.#punch(toPunch));
      }
      const toEmpty = tooLarge.shift();
      if (toEmpty?.state === 'sealed') await round.counted(() => this.#compactInSteps(toEmpty));
      if (toPunch === undefined && toEmpty === undefined) break;
      await round.counted(() => this.#evictDue());
    }
  }

  async #compactInSteps(volume: Volume): Promise<number> {
    // The reserve file is kept for this, too.
    await this.#options.space.makeRoom(STEP_ROOM_BYTES);
    if (!(await this.compactor.compact(volume, 'in-steps'))) return 0;
    this.#retire(volume);
    return 1;
  }

  async #punch(volume: Volume): Promise<void> {
    await this.puncher.punch(volume);
    await this.#options.space.look();
  }

  /** Drops the oldest volume of a bucket. Resolves to undefined if it has none to drop. */
  async evict(bucketName: string): Promise<number | undefined> {
    const { buckets } = this.#options.parts;
    const bucket = buckets.get(bucketName);
    return this.#drop(() => this.evictor.evict(bucket));
  }

  async #drop(evict: () => Promise<Volume | undefined>): Promise<number | undefined> {
    const volume = await this.#evictions.run(evict);
    if (volume === undefined) return undefined;
    this.#retire(volume);
    return volume.number;
  }

  /** Continues in the background, because readers may hold the volume for long. */
  #retire(volume: Volume): void {
    if (this.#retiring.has(volume)) return;
    const done = this.compactor
      .retire(volume)
      .catch(this.#options.parts.onError)
      .finally(() => this.#retiring.delete(volume));
    this.#retiring.set(volume, done);
  }

  /** `signal` ends it early: the call rejects with its reason. */
  async scrub(
    bytesPerSecond: number,
    onVolume?: (volume: Volume) => void,
    signal?: AbortSignal,
  ): Promise<ScrubReport> {
    const closing = this.#stop.signal;
    const stop = signal === undefined ? closing : AbortSignal.any([closing, signal]);
    const pace = this.#pace(bytesPerSecond, stop);
    const report = await this.#scrubs.run(() => {
      return this.scrubber.scrub(pace, () => !stop.aborted, onVolume);
    });
    signal?.throwIfAborted();
    return report;
  }

  /** Resolves when all emptied volumes are removed, which requires that nobody reads them. */
  async retired(): Promise<void> {
    await Promise.all(this.#retiring.values());
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#round;
    await this.#scrub;
    for (const work of [this.#rounds, this.#evictions, this.#scrubs]) await work.idle();
    // Volumes that are still read are removed at the next open.
    await this.#unread();
  }

  /** Resolves when all dropped volumes that nobody reads are removed. */
  async #unread(): Promise<void> {
    const free = [...this.#retiring].filter(([volume]) => volume.pins === 0);
    await Promise.all(free.map(([, done]) => done));
  }
}

/** Ends early when `stop` is aborted. */
function pause(milliseconds: number, stop: AbortSignal): Promise<void> {
  if (stop.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    timer.unref();
    stop.addEventListener('abort', end);
  });
}
