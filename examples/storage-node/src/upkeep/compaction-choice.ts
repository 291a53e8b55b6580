import type { NodeParts } from '../objects/node-parts.ts';
import type { SpaceGauge } from '../objects/space-gauge.ts';
import { HEADER_BYTES } from '../volumes/volume-header.ts';
import type { Volume } from '../volumes/volume.ts';

/** Bytes left free beside copies, for the metadata and concurrent writes. */
const ROOM_BYTES = 4 * 2 ** 20;
/** Copies of so many bytes do not need that room. */
const SHORT_BYTES = 128 * 1024;
/**
 * Below this multiple of the reserve in free space, volumes with fewer dead bytes are compacted,
 * too.
 */
const AMPLE_RESERVES = 8;
/** Below this multiple of the reserve, dead bytes in a volume that is still written count. */
const TIGHT_RESERVES = 2;
/**
 * With so many, such a volume is sealed whatever its length. Live data is moved for so many marks.
 */
const MANY_BYTES = 2 ** 20;
/** The same where space is scarce: with fewer, it is neither sealed nor moved. */
const LEAST_BYTES = 64 * 1024;

export interface CompactionChoiceOptions {
  readonly parts: NodeParts;
  readonly space: SpaceGauge;
  readonly deadRatio: number;
}

/**
 * Says which volumes are worth compacting.
 *
 * Marks are needed while an older volume is there, so an old volume full of live data would keep
 * all later ones. Therefore the oldest volumes are also weighed together: once their marks are a
 * large share of what is needed in them, they are compacted one after another, the oldest first.
 * Their live data moves behind all marks, which are then needed no more.
 */
export class CompactionChoice {
  readonly #options: CompactionChoiceOptions;

  constructor(options: CompactionChoiceOptions) {
    this.#options = options;
  }

  /** True if it may be emptied now: nobody writes to it. */
  #isQuiet(volume: Volume): boolean {
    const { writers } = this.#options.parts;
    return (
      volume.state === 'sealed' &&
      volume.pending === 0 &&
      !volume.isBeingEmptied &&
      !writers.isWritten(volume)
    );
  }

  /**
   * Sealed volumes without live data, damaged or not. The tombstone of a bucket replaces the marks
   * in its own.
   */
  empty(): Volume[] {
    const { buckets, volumes } = this.#options.parts;
    return [...volumes].filter((volume) => {
      const { bucketId, kind, liveBytes, markBytes } = volume;
      if (liveBytes > 0 || !this.#isQuiet(volume)) return false;
      return markBytes === 0 || (kind === 'bucket' && buckets.byId(bucketId) === undefined);
    });
  }

  /** The share of dead bytes at which a volume is compacted: lower when space is scarce. */
  get threshold(): number {
    const { space, deadRatio } = this.#options;
    const reserves = space.roomBytes / Math.max(1, space.reserveBytes);
    return deadRatio * Math.min(1, Math.max(0.1, reserves / AMPLE_RESERVES));
  }

  /** Caches are evicted where space is scarce, and copies of them would be made again and again. */
  #thresholdOf({ bucketId, kind }: Volume): number {
    if (kind !== 'bucket') return this.threshold;
    const bucket = this.#options.parts.buckets.byId(bucketId);
    return bucket?.policy.mode === 'cache' ? this.#options.deadRatio : this.threshold;
  }

  /** Volumes whose marks may be about one another, the oldest first. */
  #groups(): Volume[][] {
    const groups = new Map<number, Volume[]>();
    for (const volume of this.#options.parts.volumes) {
      if (volume.kind === 'index') continue;
      // Numbers of buckets begin at 1.
      const group = groups.get(volume.bucketId);
      if (group === undefined) groups.set(volume.bucketId, [volume]);
      else group.push(volume);
    }
    const all = [...groups.values()];
    for (const group of all) group.sort((one, other) => one.number - other.number);
    return all;
  }

  /** The oldest volumes of a group, if their marks are worth moving their live data. */
  #keepingMarks(group: readonly Volume[]): Volume[] {
    const least = this.#options.space.isScarce ? LEAST_BYTES : MANY_BYTES;
    let liveBytes = 0;
    let markBytes = 0;
    for (const [i, volume] of group.entries()) {
      // It stays, or it is still read: so do all marks behind it.
      const isLost = volume.damage !== undefined && volume.liveBytes > 0;
      if (isLost || volume.state === 'retired') break;
      liveBytes += volume.liveBytes;
      markBytes += volume.markBytes;
      const isWorth = markBytes >= this.#thresholdOf(volume) * (liveBytes + markBytes);
      if (markBytes >= least && isWorth) return group.slice(0, i + 1);
    }
    return [];
  }

  #deadShare(volume: Volume, oldest: ReadonlySet<Volume>): number {
    const bytes = volume.writtenBytes - HEADER_BYTES;
    // Of a damaged one, marks that can be read are moved.
    if (bytes <= 0 || volume.damage !== undefined) return 1;
    // Marks in the oldest volume are about nothing older.
    const dead = volume.deadBytes + (oldest.has(volume) ? volume.markBytes : 0);
    // The copy of such a volume is sealed at once, and padded like any other.
    if (volume.kind === 'bucket' && dead < LEAST_BYTES) return 0;
    return dead / bytes;
  }

  /**
   * Tells whether a volume that is still written should be sealed: because space falls short and
   * only a sealed volume gives its dead bytes back (the disk may be smaller than a volume), or
   * because it keeps marks.
   */
  sealing(): (volume: Volume) => boolean {
    const { space, deadRatio } = this.#options;
    const isTight = space.isScarce || space.roomBytes < TIGHT_RESERVES * space.reserveBytes;
    const { threshold } = this;
    const isAmple = !space.isScarce && threshold >= deadRatio;
    const groups = this.#groups();
    const oldest = new Set(groups.map((group) => group[0]!));
    const keeping = new Set(groups.flatMap((group) => this.#keepingMarks(group)));
    return (volume) => {
      if (keeping.has(volume)) return true;
      if (isTight && volume.deadBytes >= MANY_BYTES) return true;
      if (isAmple || volume.deadBytes < LEAST_BYTES) return false;
      return this.#deadShare(volume, oldest) >= this.#thresholdOf(volume);
    };
  }

  /**
   * Volumes that are worth compacting, those with the largest gain first, except for `passed` and
   * those from `endNumber` on.
   */
  #worthy(passed: ReadonlySet<Volume>, endNumber = Infinity): Volume[] {
    const groups = this.#groups();
    const oldest = new Set(groups.map((group) => group[0]!));
    const isWanted = (volume: Volume): boolean => {
      const isLost = volume.damage !== undefined && volume.liveBytes > 0;
      const isOffered = volume.number < endNumber && !passed.has(volume);
      return isOffered && !isLost && this.#isQuiet(volume);
    };
    const alone = [...this.#options.parts.volumes]
      .filter(isWanted)
      .map((volume) => ({ volume, share: this.#deadShare(volume, oldest) }))
      .filter(({ volume, share }) => share >= this.#thresholdOf(volume))
      .sort((one, other) => other.share - one.share)
      .map(({ volume }) => volume);
    const together = groups.flatMap((group) => this.#keepingMarks(group)).filter(isWanted);
    return [...new Set([...alone, ...together])];
  }

  /** Short copies may use the reserve: the volume gives back more than they take. */
  #fits({ liveBytes, markBytes, deadBytes }: Volume): boolean {
    const { roomBytes } = this.#options.space;
    const bytes = liveBytes + markBytes;
    if (bytes <= roomBytes - ROOM_BYTES) return true;
    return bytes <= Math.min(SHORT_BYTES, roomBytes / 8, deadBytes);
  }

  /** The volume with the largest gain, if one is worth it and its copies fit on the disk. */
  next(passed: ReadonlySet<Volume>, endNumber?: number): Volume | undefined {
    return this.#worthy(passed, endNumber).find((volume) => this.#fits(volume));
  }

  /** Volumes that are worth compacting, and whose copies do not fit on the disk. */
  tooLarge(): Volume[] {
    return this.#worthy(new Set()).filter((volume) => !this.#fits(volume));
  }
}
