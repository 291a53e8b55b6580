import { hasOwnVolumes, type Bucket } from '../ledger/bucket-record.ts';
import { NoSuchBucketError } from '../node-errors.ts';
import { GroupWriter, type WriterFigures } from '../volumes/group-writer.ts';
import type { VolumeKind } from '../volumes/volume-header.ts';
import type { VolumeSet } from '../volumes/volume-set.ts';
import type { Volume } from '../volumes/volume.ts';

/** Minimum number of volumes of a bucket with separate volumes: they are evicted one at a time. */
const VOLUMES_OF_QUOTA = 8;
const LEAST_VOLUME_BYTES = 64 * 1024;
/**
 * A volume gets at most this share of the node's disk, so that the copies of a volume's live
 * records fit beside it, and the volume that is being written holds few of the dead bytes.
 */
const VOLUMES_OF_DISK = 16;
const LEAST_SHARE_BYTES = 4 * 2 ** 20;

export interface WritersOptions {
  readonly volumeBytes: number;
  readonly indexVolumeBytes: number;
  /** Bytes free on the disk at the last check. */
  readonly freeBytes: () => number;
  readonly onSealed: (volume: Volume) => void;
}

/** Maximum length of a volume of a bucket with a quota. */
export function shareOfQuota(quotaBytes: number): number {
  return Math.max(LEAST_VOLUME_BYTES, Math.floor(quotaBytes / VOLUMES_OF_QUOTA));
}

/** One writer per set of separate volumes. */
export class Writers {
  readonly #volumes: VolumeSet;
  readonly #options: WritersOptions;
  readonly figures: WriterFigures = {
    groups: 0,
    records: 0,
    writtenBytes: 0,
    syncs: 0,
    failedGroups: 0,
    rotations: 0,
  };
  /** Objects and extents of all buckets with policy `keep`. */
  readonly data: GroupWriter;
  readonly index: GroupWriter;
  /** Copies made by compaction: old records stay apart from new ones. */
  readonly copies: GroupWriter;
  readonly #buckets = new Map<number, GroupWriter>();
  /** For copies of volumes of buckets with separate volumes: one that is of the same age. */
  readonly #copies = new Map<Volume, GroupWriter>();
  /** Deleted buckets, which calls under way still refer to. */
  readonly #dropped = new WeakSet<Bucket>();

  constructor(volumes: VolumeSet, options: WritersOptions) {
    this.#volumes = volumes;
    this.#options = options;
    this.data = this.#make('data', 0, options.volumeBytes);
    this.index = this.#make('index', 0, options.indexVolumeBytes);
    this.copies = this.#make('data', 0, options.volumeBytes);
  }

  #make(kind: VolumeKind, bucketId: number, volumeBytes: number): GroupWriter {
    const { onSealed } = this.#options;
    const { figures } = this;
    return new GroupWriter(this.#volumes, {
      kind,
      bucketId,
      volumeBytes: () => Math.min(volumeBytes, this.#shareBytes()),
      figures,
      onSealed,
    });
  }

  #shareBytes(): number {
    let bytes = this.#options.freeBytes();
    for (const volume of this.#volumes) bytes += volume.writtenBytes - volume.freedBytes;
    return Math.max(LEAST_SHARE_BYTES, Math.floor(bytes / VOLUMES_OF_DISK));
  }

  /** @throws NoSuchBucketError after `drop` */
  of(bucket: Bucket): GroupWriter {
    if (!hasOwnVolumes(bucket.policy)) return this.data;
    if (this.#dropped.has(bucket)) throw new NoSuchBucketError(bucket.name);
    let writer = this.#buckets.get(bucket.id);
    if (writer === undefined) {
      const { quotaBytes = Infinity } = bucket.policy;
      const volumeBytes = Math.min(this.#options.volumeBytes, shareOfQuota(quotaBytes));
      writer = this.#make('bucket', bucket.id, volumeBytes);
      this.#buckets.set(bucket.id, writer);
    }
    return writer;
  }

  /**
   * Ends the writer of a deleted bucket, if it has one: what waits is written, nothing follows, and
   * its last volume is sealed.
   */
  async drop(bucket: Bucket): Promise<void> {
    if (!hasOwnVolumes(bucket.policy)) return;
    this.#dropped.add(bucket);
    try {
      await this.#buckets.get(bucket.id)?.end();
    } finally {
      this.#buckets.delete(bucket.id);
    }
  }

  get #all(): GroupWriter[] {
    const ofBuckets = [...this.#buckets.values(), ...this.#copies.values()];
    return [this.data, this.index, this.copies, ...ofBuckets];
  }

  /** The writer for copies of a volume's records, until `endCopies`. */
  forCopiesOf(volume: Volume): GroupWriter {
    if (volume.kind === 'index') return this.index;
    if (volume.kind === 'data') return this.copies;
    let writer = this.#copies.get(volume);
    if (writer === undefined) {
      writer = new GroupWriter(this.#volumes, {
        kind: 'bucket',
        bucketId: volume.bucketId,
        original: volume,
        volumeBytes: () => this.#options.volumeBytes,
        figures: this.figures,
        onSealed: this.#options.onSealed,
      });
      this.#copies.set(volume, writer);
    }
    return writer;
  }

  async endCopies(volume: Volume): Promise<void> {
    try {
      await this.#copies.get(volume)?.end();
    } finally {
      this.#copies.delete(volume);
    }
  }

  /** True if copies are written to it. */
  hasCopies(volume: Volume): boolean {
    return [...this.#copies.values()].some((writer) => writer.volume === volume);
  }

  /** True if a writer may still append to it. */
  isWritten(volume: Volume): boolean {
    const { kind, bucketId } = volume;
    if (kind === 'index') return this.index.volume === volume;
    if (kind === 'data') return this.data.volume === volume || this.copies.volume === volume;
    return this.#buckets.get(bucketId)?.volume === volume || this.hasCopies(volume);
  }

  /** Seals the volumes that `isDue` and that are written to: the next group starts another one. */
  async sealWhere(isDue: (volume: Volume) => boolean): Promise<void> {
    for (const writer of this.#all) {
      if (writer.volume !== undefined && isDue(writer.volume)) await writer.rotate();
    }
  }

  async idle(): Promise<void> {
    await Promise.all(this.#all.map((writer) => writer.idle()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((writer) => writer.close()));
  }
}
