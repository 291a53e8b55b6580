import { decodePolicy, KEEP, type BucketPolicy } from '../ledger/bucket-record.ts';
import { ByteReader } from '../ledger/byte-writer.ts';
import type { ByteName } from '../names/byte-name.ts';
import { bodyOffset, FLAG_EXTENTS, isRecordSound, labelOf } from '../volumes/record.ts';
import { walkWindows, WindowBuffers, type WalkedRecord } from '../volumes/record-walk.ts';
import { HEADER_BYTES } from '../volumes/volume-header.ts';
import type { VolumeSet } from '../volumes/volume-set.ts';
import type { Volume } from '../volumes/volume.ts';

/** The place and length of a record. */
export interface FoundPlace {
  readonly volume: number;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** The newest record of a name. */
export interface FoundName {
  readonly sequence: number;
  /** Undefined if the record is a deletion. */
  readonly object: FoundObjectRecord | undefined;
}

export interface FoundObjectRecord extends FoundPlace {
  /** All its checksums match. */
  readonly isSound: boolean;
  readonly flags: number;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** The label as JSON. */
  readonly label: Buffer;
  /** Contents of a body in extents. */
  readonly content: Buffer | undefined;
}

export interface FoundExtent extends FoundPlace {
  /** All its checksums match. */
  readonly isSound: boolean;
  readonly sizeBytes: number;
  readonly bodyBytes: number;
  readonly flags: number;
}

export interface FoundBucket extends FoundPlace {
  readonly name: string;
  readonly createdMs: number;
  readonly policy: BucketPolicy;
}

/**
 * The contents of a node's volumes: the highest sequence of each name. Compaction may leave a copy
 * and its original; the original may be freed in part, or damaged later. Of these, a sound one
 * counts. A damaged record without a sound copy is kept, because an older version of the name would
 * otherwise come back.
 */
export class VolumeScan {
  readonly volumes: Volume[] = [];
  readonly names = new Map<number, Map<ByteName, FoundName>>();
  readonly extents = new Map<string, FoundExtent>();
  readonly buckets = new Map<number, FoundBucket>();
  readonly deletedBuckets = new Set<number>();
  /** Records that were refused after they had been written. */
  readonly #voided = new Set<number>();
  /** Names with all sequences that may still be void. */
  readonly #older = new Map<string, FoundName[]>();
  highestSequence = 0;
  highestBucket = 0;
  earliestMs = Infinity;
  latestMs = 0;
  damagedRecords = 0;
  gaps = 0;

  async scan(volumes: VolumeSet, volume: Volume, fileBytes: number): Promise<void> {
    let endBytes = HEADER_BYTES;
    let gapEnd = 0;
    const windows = walkWindows(volumes, volume, fileBytes, new WindowBuffers());
    for await (const { records, gaps } of windows) {
      for (const gap of gaps) {
        // One that crosses the end of a window counts once.
        if (gap.offset !== gapEnd) this.gaps++;
        gapEnd = gap.offset + gap.lengthBytes;
      }
      for (const record of records) {
        if (record.bytes.length < record.lengthBytes) {
          // A crash cut the file within it: it was never acknowledged.
          this.damagedRecords++;
          continue;
        }
        endBytes = record.offset + record.lengthBytes;
        this.highestSequence = Math.max(this.highestSequence, record.header.sequence);
        this.#take(volume, record);
      }
    }
    volume.endBytes = endBytes;
    volume.writtenBytes = endBytes;
  }

  #take(volume: Volume, record: WalkedRecord): void {
    const { header, offset, lengthBytes } = record;
    const label = labelOf(header, record.bytes);
    if (label === undefined) {
      this.damagedRecords++;
      return;
    }
    const place = { volume: volume.number, offset, lengthBytes };
    const name = label.name.toString('latin1');
    const { bucketId, sequence } = header;
    if (header.kind !== 'leaf') this.highestBucket = Math.max(this.highestBucket, bucketId);
    if (header.timeMs > 0) {
      this.earliestMs = Math.min(this.earliestMs, header.timeMs);
      this.latestMs = Math.max(this.latestMs, header.timeMs);
      volume.newestMs = Math.max(volume.newestMs, header.timeMs);
    }
    switch (header.kind) {
      case 'object': {
        const object = objectOf(record, place, label.meta);
        if (object === undefined) this.damagedRecords++;
        else this.#name(bucketId, name, { sequence, object });
        return;
      }
      case 'extent': {
        const { sizeBytes, bodyBytes, flags } = header;
        const key = `${sequence} ${header.key}`;
        const isSound = isRecordSound(header, record.bytes);
        if (!isSound && this.extents.has(key)) return;
        this.extents.set(key, { ...place, isSound, sizeBytes, bodyBytes, flags });
        return;
      }
      case 'bucket': {
        const policy = label.meta.length > 0 ? decodePolicy(new ByteReader(label.meta)) : KEEP;
        const text = label.name.toString('utf8');
        this.buckets.set(bucketId, { ...place, name: text, createdMs: header.timeMs, policy });
        return;
      }
      case 'tombstone':
        volume.markBytes += lengthBytes;
        if (name === '') this.deletedBuckets.add(bucketId);
        else this.#name(bucketId, name, { sequence, object: undefined });
        return;
      case 'void':
        volume.markBytes += lengthBytes;
        this.#voided.add(header.sizeBytes);
        return;
      case 'leaf':
        // The index of names is rebuilt.
        return;
    }
  }

  #name(bucketId: number, name: ByteName, found: FoundName): void {
    let names = this.names.get(bucketId);
    if (names === undefined) {
      names = new Map();
      this.names.set(bucketId, names);
    }
    const known = names.get(name);
    if (known === undefined) {
      names.set(name, found);
      return;
    }
    const [newer, older] = precedence(known, found) <= 0 ? [known, found] : [found, known];
    names.set(name, newer);
    // They are copies of one record.
    if (newer.sequence === older.sequence) return;
    const key = `${bucketId} ${name}`;
    const all = this.#older.get(key);
    if (all === undefined) this.#older.set(key, [older]);
    else all.push(older);
  }

  /** Called when all volumes are scanned: replaces void records by the next older ones. */
  settle(): void {
    for (const [bucketId, names] of this.names) {
      for (const [name, found] of names) {
        if (!this.#voided.has(found.sequence)) continue;
        const older = (this.#older.get(`${bucketId} ${name}`) ?? [])
          .filter(({ sequence }) => !this.#voided.has(sequence))
          .sort(precedence)[0];
        if (older === undefined) names.delete(name);
        else names.set(name, older);
      }
    }
    this.#older.clear();
  }
}

/** Undefined if it is a list of extents that cannot be read. */
function objectOf(
  { header, bytes }: WalkedRecord,
  place: FoundPlace,
  label: Buffer,
): FoundObjectRecord | undefined {
  const { flags, sizeBytes, bodyBytes, timeMs } = header;
  const hasExtents = (flags & FLAG_EXTENTS) !== 0;
  const isSound = isRecordSound(header, bytes);
  if (hasExtents && !isSound) return undefined;
  const from = bodyOffset(header);
  return {
    ...place,
    isSound,
    flags,
    sizeBytes,
    modifiedMs: timeMs,
    label: Buffer.from(label),
    content: hasExtents ? Buffer.from(bytes.subarray(from, from + bodyBytes)) : undefined,
  };
}

/** Negative if `one` counts: the later one, and of two copies of one record a sound one. */
function precedence(one: FoundName, other: FoundName): number {
  if (one.sequence !== other.sequence) return other.sequence - one.sequence;
  return Number(isSoundName(other)) - Number(isSoundName(one));
}

function isSoundName({ object }: FoundName): boolean {
  return object === undefined || object.isSound;
}
