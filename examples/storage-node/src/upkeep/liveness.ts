import { extentKey } from '../ledger/keys.ts';
import type { Turn } from '../ledger/publisher.ts';
import { leafKey } from '../names/leaf-record.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import { findObject, keyOfHandle } from '../objects/object-table.ts';
import type { Appended } from '../volumes/group-writer.ts';
import { handleOf } from '../volumes/handle.ts';
import { labelOf } from '../volumes/record.ts';
import type { WalkedRecord } from '../volumes/record-walk.ts';
import type { Volume } from '../volumes/volume.ts';

type ValueOf = (key: bigint) => bigint | undefined;

/** Finds and updates the references of lodestore to records in volumes. */
export class Liveness {
  readonly #parts: NodeParts;
  readonly #valueOf: ValueOf;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#valueOf = (key) => parts.store.valueOf(key);
  }

  /** The record's name as a byte name; undefined if it is damaged. */
  nameOf(record: WalkedRecord): string | undefined {
    return labelOf(record.header, record.bytes)?.name.toString('latin1');
  }

  /** True if something refers to the record, or a rebuild of the metadata needs it. */
  isLive(volume: Volume, record: WalkedRecord): boolean {
    return this.isMark(record)
      ? this.isMarkNeeded(volume, record)
      : this.#keyOf(volume, record, this.#valueOf) !== undefined;
  }

  isMark({ header }: WalkedRecord): boolean {
    return header.kind === 'tombstone' || header.kind === 'void';
  }

  /**
   * A mark is about volumes up to the number in its key, of which this one is being emptied. A
   * retired volume counts: its file is there while somebody reads it.
   */
  isMarkNeeded(volume: Volume, { header }: WalkedRecord): boolean {
    for (const other of this.#parts.volumes) {
      const mayHold = other !== volume && mayHoldMarked(other, volume, header.bucketId);
      if (mayHold && BigInt(other.number) <= header.key) return true;
    }
    return false;
  }

  /** The key of the record that refers to this one. */
  #keyOf(volume: Volume, record: WalkedRecord, valueOf: ValueOf): bigint | undefined {
    const { header, offset } = record;
    const handle = handleOf(volume.number, offset);
    switch (header.kind) {
      case 'object':
        return this.#objectKeyOf(record, handle, valueOf);
      case 'extent': {
        const key = extentKey(header.sequence, Number(header.key));
        return valueOf(key) === handle ? key : undefined;
      }
      case 'leaf': {
        const key = leafKey(Number(header.key));
        return valueOf(key) === handle ? key : undefined;
      }
      case 'bucket': {
        const bucket = this.#parts.buckets.byId(header.bucketId);
        return bucket?.handle === handle ? 0n : undefined;
      }
      case 'tombstone':
      case 'void':
        return undefined;
    }
  }

  /** The hash of the name is in the header, unless the metadata was rebuilt since. */
  #objectKeyOf(record: WalkedRecord, handle: bigint, valueOf: ValueOf): bigint | undefined {
    const { header } = record;
    const { identity, hash } = this.#parts;
    if (header.sequence >= identity.hashedSince) return keyOfHandle(valueOf, header.key, handle);
    const name = this.nameOf(record);
    if (name === undefined) return undefined;
    return keyOfHandle(valueOf, hash(header.bucketId, name).home, handle);
  }

  /** Refers to the copy from now on. False if nothing refers to the record any more. */
  move(turn: Turn, volume: Volume, record: WalkedRecord, copy: Appended): boolean {
    const { header, lengthBytes } = record;
    if (this.isMark(record)) {
      turn.mark(copy);
      turn.unmark(volume, lengthBytes);
      return true;
    }
    const key = this.#keyOf(volume, record, (one) => turn.valueOf(one));
    if (key === undefined) return false;
    const handle = handleOf(copy.volume.number, copy.offset);
    if (header.kind === 'bucket') {
      turn.moveBucket(this.#parts.buckets.byId(header.bucketId)!, handle);
    } else {
      turn.put(key, handle, turn.get(key)!.data);
    }
    if (header.kind === 'leaf') this.#moveLeaf(turn, record, handle);
    turn.bury(volume, lengthBytes);
    turn.revive(copy, header.kind === 'leaf' ? 0 : header.timeMs);
    return true;
  }

  #moveLeaf(turn: Turn, record: WalkedRecord, handle: bigint): void {
    const { directory } = this.#parts.names;
    const leaf = directory.leafOf(record.header.bucketId, this.nameOf(record)!);
    turn.onCommit(() => (leaf.handle = handle));
  }

  /** True if an object of the record's name exists. */
  isNameTaken(record: WalkedRecord): boolean {
    const name = this.nameOf(record);
    if (name === undefined) return true;
    const hash = this.#parts.hash(record.header.bucketId, name);
    return findObject((key) => this.#parts.store.get(key), hash) !== undefined;
  }
}

/**
 * True if records of the bucket that a mark in `volume` is about may be in `other`. A bucket with
 * separate volumes has no object elsewhere. Its marks are elsewhere once it is deleted.
 */
function mayHoldMarked(other: Volume, volume: Volume, bucketId: number): boolean {
  if (other.kind === 'data') return volume.kind === 'data';
  return other.kind === 'bucket' && other.bucketId === bucketId;
}
