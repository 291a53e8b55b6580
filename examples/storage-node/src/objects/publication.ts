import type { Condition } from '../object-node.ts';
import type { Bucket } from '../ledger/bucket-record.ts';
import { extentKey, keyOf } from '../ledger/keys.ts';
import type { Turn } from '../ledger/publisher.ts';
import type { ByteName } from '../names/byte-name.ts';
import type { NameHash } from '../names/name-hash.ts';
import type { Appended } from '../volumes/group-writer.ts';
import { handleOf, placeOf } from '../volumes/handle.ts';
import type { WrittenExtent } from './body-writer.ts';
import { judgeCondition, refuseOvertaken } from './condition.ts';
import { decodeContent, decodeExtent, encodeContent, encodeExtent } from './content-record.ts';
import type { ExtentRun } from './content-record.ts';
import type { NodeParts } from './node-parts.ts';
import { decodeEntry, encodeEntry, type ObjectEntry } from './object-entry.ts';
import { findObject, insertObject, removeObject, type FoundObject } from './object-table.ts';

/**
 * From this many extents of a body on, they are deleted as a range: 28 bytes of a batch, which has
 * at most 32 MiB, instead of 20 for each.
 */
const FEW_EXTENTS = 8;

/** An object whose record is durable. */
export interface NewObject {
  readonly bucket: Bucket;
  readonly name: ByteName;
  readonly hash: NameHash;
  readonly sequence: number;
  readonly at: Appended;
  readonly etag: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** For a body in extents: its contents, and the extents that are not published yet. */
  readonly content?:
    | {
        readonly serial: number;
        readonly runs: readonly ExtentRun[];
        readonly extents: readonly {
          readonly serial: number;
          readonly all: readonly WrittenExtent[];
        }[];
        /** True if the replaced object has the same content. */
        readonly isKept?: boolean;
      }
    | undefined;
  readonly condition?: Condition | undefined;
}

/** Changes of objects, as parts of a turn. */
export class Publication {
  readonly #parts: NodeParts;

  constructor(parts: NodeParts) {
    this.#parts = parts;
  }

  find(turn: Turn, hash: NameHash): FoundObject | undefined {
    return findObject((key) => turn.get(key), hash);
  }

  entryOf(found: FoundObject): ObjectEntry {
    return decodeEntry(found.data, this.#parts.identity.epochMs);
  }

  /**
   * False if a newer change of the name was published meanwhile, so that this one counts as older.
   *
   * @throws NoSuchBucketError; PreconditionFailedError if the condition does not hold, or if there
   *   is one and this change counts as older
   */
  put(turn: Turn, object: NewObject): boolean {
    const { bucket, hash, sequence } = object;
    const { buckets, flights, names } = this.#parts;
    buckets.check(bucket);
    const found = this.find(turn, hash);
    const old = found === undefined ? undefined : this.entryOf(found);
    judgeCondition(object.condition, old);
    if (flights.isOvertaken(hash.home, sequence) || turn.noted(hash.home) > sequence) {
      refuseOvertaken(object.condition);
      this.#buryParts(turn, object);
      return false;
    }
    const entry = this.#entry(object);
    if (found === undefined) names.check(bucket.id, object.name);
    // All checks have passed: from here on, the turn is modified.
    const handle = handleOf(object.at.volume.number, object.at.offset);
    if (found === undefined || old === undefined) {
      insertObject(turn, hash, handle, (displacement) => entry(displacement));
      names.change(turn, bucket.id, object.name, true);
      turn.count(bucket, 1, object.sizeBytes);
    } else {
      if (object.content?.isKept === true) this.buryRecord(turn, found, old);
      else this.buryBody(turn, found, old);
      turn.put(found.key, handle, entry(old.displacement));
      turn.count(bucket, 0, object.sizeBytes - old.sizeBytes);
    }
    turn.revive(object.at, object.modifiedMs);
    this.#publishContent(turn, object);
    this.#note(turn, hash, sequence);
    return true;
  }

  #entry(object: NewObject): (displacement: number) => Buffer {
    const { epochMs } = this.#parts.identity;
    const fields = {
      mark: object.hash.mark,
      modifiedMs: object.modifiedMs,
      etag: object.etag,
      sizeBytes: object.sizeBytes,
      lengthBytes: object.at.lengthBytes,
      content: object.content?.serial,
    };
    // Checked before anything is modified.
    encodeEntry({ ...fields, displacement: 0 }, epochMs);
    return (displacement) => encodeEntry({ ...fields, displacement }, epochMs);
  }

  #publishContent(turn: Turn, { content, modifiedMs }: NewObject): void {
    if (content === undefined || content.isKept === true) return;
    for (const { serial, all } of content.extents) this.extents(turn, serial, all, modifiedMs);
    turn.put(keyOf('content', content.serial), 1n, encodeContent(content.runs));
  }

  /** Extents of an upload that lost: those of its parts were published. */
  #buryParts(turn: Turn, { content }: NewObject): void {
    if (content === undefined || content.isKept === true || content.extents.length > 0) return;
    for (const { serial, count } of content.runs) this.buryExtents(turn, serial, count);
  }

  extents(turn: Turn, serial: number, all: readonly WrittenExtent[], timeMs: number): void {
    for (const [i, { at, entry }] of all.entries()) {
      const handle = handleOf(at.volume.number, at.offset);
      turn.put(extentKey(serial, i), handle, encodeExtent(entry));
      turn.revive(at, timeMs);
    }
  }

  /** Removes an object that `find` has found. @throws DamagedObjectError */
  remove(turn: Turn, bucket: Bucket, name: ByteName, found: FoundObject): void {
    this.#parts.names.check(bucket.id, name);
    const entry = this.entryOf(found);
    this.buryBody(turn, found, entry);
    removeObject(turn, found.key);
    this.#parts.names.change(turn, bucket.id, name, false);
    turn.count(bucket, -1, -entry.sizeBytes);
  }

  /** Nothing refers to its record and its extents any more. */
  buryBody(turn: Turn, found: FoundObject, entry: ObjectEntry): void {
    this.buryRecord(turn, found, entry);
    if (entry.content === undefined) return;
    const key = keyOf('content', entry.content);
    const content = turn.get(key);
    if (content === undefined) return;
    for (const { serial, count } of decodeContent(content.data)) {
      this.buryExtents(turn, serial, count);
    }
    turn.delete(key);
  }

  buryRecord(turn: Turn, found: FoundObject, entry: ObjectEntry): void {
    turn.bury(this.#parts.volumes.get(placeOf(found.handle).volume), entry.lengthBytes);
  }

  buryExtents(turn: Turn, serial: number, count: number): void {
    const keys: bigint[] = [];
    for (let i = 0; i < count; i++) {
      const key = extentKey(serial, i);
      const record = turn.get(key);
      if (record === undefined) continue;
      const { lengthBytes } = decodeExtent(record.data);
      turn.bury(this.#parts.volumes.get(placeOf(record.value).volume), lengthBytes);
      keys.push(key);
    }
    if (count < FEW_EXTENTS) for (const key of keys) turn.delete(key);
    else turn.deleteMany({ gte: extentKey(serial, 0), lte: extentKey(serial, count - 1) }, keys);
  }

  #note(turn: Turn, hash: NameHash, sequence: number): void {
    turn.note(hash.home, sequence);
    turn.onCommit(() => this.#parts.flights.note(hash.home, sequence));
  }

  /** The sequence of a deletion: higher than that of any published object. */
  noteRemoval(turn: Turn, hash: NameHash): number {
    const sequence = this.#parts.counters.takeSerial();
    this.#note(turn, hash, sequence);
    return sequence;
  }
}
