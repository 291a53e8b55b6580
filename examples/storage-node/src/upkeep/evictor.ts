import { hasOwnVolumes, type Bucket } from '../ledger/bucket-record.ts';
import { extentKey, keyOf } from '../ledger/keys.ts';
import type { Turn } from '../ledger/publisher.ts';
import type { ByteName } from '../names/byte-name.ts';
import { decodeContent } from '../objects/content-record.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import type { Publication } from '../objects/publication.ts';
import type { SpaceGauge } from '../objects/space-gauge.ts';
import type { Uploads } from '../objects/uploads.ts';
import { handleOf } from '../volumes/handle.ts';
import { walkWindows, type WalkedRecord } from '../volumes/record-walk.ts';
import { HEADER_BYTES } from '../volumes/volume-header.ts';
import type { Volume } from '../volumes/volume.ts';
import type { Liveness } from './liveness.ts';
import { noteDamage } from './note-damage.ts';

/** Number of records that are processed in one batch. */
const BATCH_RECORDS = 256;
/** Below this multiple of the reserve in free space, caches are evicted. */
const SCARCE_RESERVES = 2;
/** A volume is written for at most this part of the time to live. */
const VOLUMES_OF_TTL = 8;

export interface EvictionCounts {
  readonly volumes: number;
  readonly objects: number;
  readonly uploads: number;
}

export interface EvictorOptions {
  readonly parts: NodeParts;
  readonly space: SpaceGauge;
  readonly liveness: Liveness;
  readonly publication: Publication;
  readonly uploads: Uploads;
  /** Acknowledged bytes of a bucket that are in no volume yet. */
  readonly unwrittenBytes: (bucket: Bucket) => number;
}

/**
 * Buckets that are caches, or have a quota or a time to live, keep their objects in separate
 * volumes and free space one volume at a time, the oldest first: all objects with a byte in it are
 * deleted.
 */
export class Evictor {
  readonly #options: EvictorOptions;
  #counts = { volumes: 0, objects: 0, uploads: 0 };

  constructor(options: EvictorOptions) {
    this.#options = options;
  }

  get counts(): EvictionCounts {
    return this.#counts;
  }

  /** Volumes of each bucket with separate ones, the oldest first. */
  #byBucket(): Map<number, Volume[]> {
    const found = new Map<number, Volume[]>();
    for (const volume of this.#options.parts.volumes) {
      if (volume.kind !== 'bucket' || volume.state === 'retired') continue;
      const all = found.get(volume.bucketId);
      if (all === undefined) found.set(volume.bucketId, [volume]);
      else all.push(volume);
    }
    for (const all of found.values()) {
      all.sort((one, other) => one.age - other.age || one.number - other.number);
    }
    return found;
  }

  #volumesOf(bucket: Bucket): Volume[] {
    return this.#byBucket().get(bucket.id) ?? [];
  }

  /** True if nothing in it waits to be published, and everything in it can be found. */
  #isDroppable(volume: Volume): boolean {
    const { damage, isBeingEmptied, pending, state } = volume;
    if (state === 'creating' || isBeingEmptied || pending > 0 || damage !== undefined) return false;
    return !this.#options.parts.writers.hasCopies(volume);
  }

  /** The oldest volume that can be dropped. Another one keeps its space, and its bytes count. */
  #oldestOf(bucket: Bucket): Volume | undefined {
    return this.#volumesOf(bucket).find((volume) => this.#isDroppable(volume));
  }

  /** The bucket that must drop a volume, except for `passed`. */
  next(passed: ReadonlySet<Bucket>): Bucket | undefined {
    const { buckets } = this.#options.parts;
    for (const [id, volumes] of this.#byBucket()) {
      const bucket = buckets.byId(id);
      if (bucket === undefined || passed.has(bucket)) continue;
      if (this.#dueOf(bucket, volumes) !== undefined) return bucket;
    }
    return undefined;
  }

  /**
   * True if a volume that is still written should be sealed, because its oldest objects have lived
   * for an eighth of their time: it is only dropped when its newest one is too old.
   */
  isLongWritten({ bucketId, createdMs, kind, writtenBytes }: Volume): boolean {
    const { buckets, now } = this.#options.parts;
    if (kind !== 'bucket' || writtenBytes <= HEADER_BYTES) return false;
    const { ttlMs = Infinity } = buckets.byId(bucketId)?.policy ?? {};
    return now() - createdMs >= ttlMs / VOLUMES_OF_TTL;
  }

  /**
   * Includes dropped volumes that are about to be removed. Those that are still read do not count:
   * that may take hours.
   */
  get #roomBytes(): number {
    let bytes = this.#options.space.roomBytes;
    for (const volume of this.#options.parts.volumes) {
      const isAboutToGo = volume.state === 'retired' && volume.pins === 0;
      if (isAboutToGo) bytes += volume.writtenBytes - volume.freedBytes;
    }
    return bytes;
  }

  /** The volume that must be dropped: the oldest one, or the oldest whose time to live is over. */
  #dueOf(bucket: Bucket, all: readonly Volume[]): Volume | undefined {
    const { parts, space, unwrittenBytes } = this.#options;
    const { mode, quotaBytes, ttlMs } = bucket.policy;
    if (!hasOwnVolumes(bucket.policy)) return undefined;
    const oldest = all.find((volume) => this.#isDroppable(volume));
    if (oldest === undefined) return undefined;
    const bytes = all.reduce((sum, volume) => sum + volume.writtenBytes, unwrittenBytes(bucket));
    if (mode === 'quota' && bytes > (quotaBytes ?? Infinity)) return oldest;
    if (mode === 'cache' && this.#roomBytes < SCARCE_RESERVES * space.reserveBytes) return oldest;
    if (ttlMs === undefined) return undefined;
    const startMs = parts.now() - ttlMs;
    // The clock may have been ahead when the oldest one was written: others do not wait for it.
    return all.find((volume) => {
      return this.#isDroppable(volume) && Math.max(volume.newestMs, volume.createdMs) < startMs;
    });
  }

  /**
   * Deletes all objects with a byte in the oldest volume of a bucket that can be dropped. Resolves
   * to undefined if there is none, or if the volume turns out to be damaged.
   */
  evict(bucket: Bucket): Promise<Volume | undefined> {
    return this.#drop(bucket, () => this.#oldestOf(bucket));
  }

  /** As `evict`, with a volume that must be dropped now. */
  evictDue(bucket: Bucket): Promise<Volume | undefined> {
    return this.#drop(bucket, () => this.#dueOf(bucket, this.#volumesOf(bucket)));
  }

  async #drop(bucket: Bucket, choose: () => Volume | undefined): Promise<Volume | undefined> {
    const { parts } = this.#options;
    // It may have been deleted while another eviction ran.
    const isThere = parts.buckets.byId(bucket.id) === bucket;
    const volume = isThere ? choose() : undefined;
    if (volume === undefined) return undefined;
    if (volume.state === 'active') await parts.writers.of(bucket).rotate();
    if (volume.state !== 'sealed' || volume.pending > 0 || volume.isBeingEmptied) return undefined;
    volume.isBeingEmptied = true;
    try {
      if (!(await this.#empty(bucket, volume))) return undefined;
      if (volume.markBytes > 0) {
        await parts.publisher.submit((turn) => turn.unmark(volume, volume.markBytes));
      }
    } finally {
      volume.isBeingEmptied = false;
    }
    this.#counts.volumes++;
    return volume;
  }

  /** False if live data stays in it, which cannot be found or read. */
  async #empty(bucket: Bucket, volume: Volume): Promise<boolean> {
    const { volumes } = this.#options.parts;
    const pin = volume.pin();
    try {
      for await (const { records } of walkWindows(volumes, volume, volume.endBytes)) {
        for (let from = 0; from < records.length; from += BATCH_RECORDS) {
          await this.#delete(bucket, volume, records.slice(from, from + BATCH_RECORDS));
        }
      }
    } catch (error) {
      noteDamage(volume, error);
      return false;
    } finally {
      pin.release();
    }
    if (volume.liveBytes === 0) return true;
    const message = `${volume.liveBytes} live bytes were not found: the volume cannot be dropped`;
    noteDamage(volume, volumes.tell(volume, 0, message));
    return false;
  }

  async #delete(bucket: Bucket, volume: Volume, batch: readonly WalkedRecord[]): Promise<void> {
    const { parts, uploads } = this.#options;
    const deleted = await parts.publisher.submit(
      (turn) => {
        const orphans = new Map<ByteName, Set<number>>();
        let objects = 0;
        for (const record of batch) {
          objects += this.#deleteOne(turn, bucket, volume, record, orphans);
        }
        for (const [name, serials] of orphans) {
          this.#counts.uploads += uploads.buryWithParts(turn, bucket, name, serials);
        }
        return objects;
      },
      { alone: true },
    );
    this.#counts.objects += deleted;
  }

  /** `orphans`: of extents that no object has, names and serials of their bodies are added. */
  #deleteOne(
    turn: Turn,
    bucket: Bucket,
    volume: Volume,
    record: WalkedRecord,
    orphans: Map<ByteName, Set<number>>,
  ): number {
    const { parts, liveness, publication } = this.#options;
    const { header, offset } = record;
    const name = liveness.nameOf(record);
    if (name === undefined || header.bucketId !== bucket.id) return 0;
    const hash = parts.hash(bucket.id, name);
    const found = publication.find(turn, hash);
    const handle = handleOf(volume.number, offset);
    if (header.kind === 'object') {
      if (found?.handle !== handle) return 0;
    } else if (header.kind === 'extent') {
      const key = extentKey(header.sequence, Number(header.key));
      if (turn.get(key)?.value !== handle) return 0;
      const content = found && publication.entryOf(found).content;
      const runs = content === undefined ? undefined : turn.get(keyOf('content', content));
      const isOfObject =
        runs !== undefined &&
        decodeContent(runs.data).some(({ serial }) => serial === header.sequence);
      if (!isOfObject) {
        orphans.set(name, (orphans.get(name) ?? new Set()).add(header.sequence));
        return 0;
      }
    } else {
      return 0;
    }
    // A PUT of the name that is under way is not in this volume: it is published afterwards.
    publication.remove(turn, bucket, name, found!);
    return 1;
  }
}
