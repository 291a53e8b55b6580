import type { MetadataStore } from 'lodestore';
import { lowerOf, rangeOf } from '../ledger/keys.ts';
import { byteNameOf, type ByteName } from '../names/byte-name.ts';
import { compareByteNames } from '../names/leaf-block.ts';
import { decodeUpload } from './upload-record.ts';

/** An incomplete upload, as far as it is in memory. */
export interface ListedUpload {
  readonly name: ByteName;
  readonly serial: number;
}

/**
 * The incomplete uploads of each bucket in the order of a listing: by name, then by serial. The
 * store has them by serial alone, so this is read once, at an open, and kept up to date.
 */
export class UploadDirectory {
  readonly #buckets = new Map<number, ListedUpload[]>();

  load(store: MetadataStore): void {
    for (const [key, { data }] of store.entries(rangeOf('upload'))) {
      const { bucketId, name, serial } = decodeUpload(Number(lowerOf(key)), data);
      this.#listOf(bucketId).push({ name: byteNameOf(name), serial });
    }
    for (const list of this.#buckets.values()) list.sort(compareUploads);
  }

  #listOf(bucketId: number): ListedUpload[] {
    let list = this.#buckets.get(bucketId);
    if (list === undefined) {
      list = [];
      this.#buckets.set(bucketId, list);
    }
    return list;
  }

  of(bucketId: number): readonly ListedUpload[] {
    return this.#buckets.get(bucketId) ?? [];
  }

  withName(bucketId: number, name: ByteName): readonly ListedUpload[] {
    const list = this.of(bucketId);
    const from = placeIn(list, { name, serial: 0 });
    let to = from;
    while (to < list.length && list[to]!.name === name) to++;
    return list.slice(from, to);
  }

  add(bucketId: number, upload: ListedUpload): void {
    const list = this.#listOf(bucketId);
    list.splice(placeIn(list, upload), 0, upload);
  }

  remove(bucketId: number, upload: ListedUpload): void {
    const list = this.#listOf(bucketId);
    const at = placeIn(list, upload);
    if (list[at]?.serial !== upload.serial) throw new Error('an upload ends that was not listed');
    list.splice(at, 1);
    if (list.length === 0) this.#buckets.delete(bucketId);
  }
}

function compareUploads(one: ListedUpload, other: ListedUpload): number {
  return compareByteNames(one.name, other.name) || one.serial - other.serial;
}

/** Index of the first that is not before `upload`. */
export function placeIn(list: readonly ListedUpload[], upload: ListedUpload): number {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (compareUploads(list[middle]!, upload) < 0) from = middle + 1;
    else to = middle;
  }
  return from;
}
