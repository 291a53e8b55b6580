import { rangeOf, type Space } from '../ledger/keys.ts';
import { decodeLeafRecord } from '../names/leaf-record.ts';
import { decodeContent, decodeExtent } from '../objects/content-record.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import { decodeEntry } from '../objects/object-entry.ts';
import { decodePart } from '../objects/upload-record.ts';
import { placeOf } from '../volumes/handle.ts';

/** Referenced bytes, recounted from the metadata. */
export interface Recount {
  readonly objects: number;
  readonly recordedObjects: number;
  /** Volumes whose recorded live bytes differ from the recount, including removed ones. */
  readonly wrong: readonly {
    readonly volume: number;
    readonly recordedBytes: number;
    readonly countedBytes: number;
  }[];
  /** Extents that belong to no object and no part of an upload. */
  readonly orphans: number;
  /** True if nothing is wrong or orphaned. */
  readonly isExact: boolean;
}

/** The node must be at rest: changes published meanwhile may be counted or not. */
export function recount({ buckets, identity, store, volumes }: NodeParts): Recount {
  const counted = new Map<number, number>();
  const add = (handle: bigint, lengthBytes: number): void => {
    const { volume } = placeOf(handle);
    if (lengthBytes > 0) counted.set(volume, (counted.get(volume) ?? 0) + lengthBytes);
  };
  let objects = 0;
  const each = (
    space: Space,
    lengthOf: (record: { readonly value: bigint; readonly data: Uint8Array }) => number,
  ): void => {
    for (const [, record] of store.entries(rangeOf(space))) add(record.value, lengthOf(record));
  };
  each('object', ({ data }) => {
    objects++;
    return decodeEntry(data, identity.epochMs).lengthBytes;
  });
  let orphans = 0;
  each('extent', ({ data }) => {
    orphans++;
    return decodeExtent(data).lengthBytes;
  });
  each('content', ({ data }) => {
    for (const { count } of decodeContent(data)) orphans -= count;
    return 0;
  });
  each('part', (record) => {
    orphans -= decodePart(0, record).extents;
    return 0;
  });
  each('leaf', (record) => decodeLeafRecord(0, record).lengthBytes);
  for (const { name } of buckets.all()) {
    const { handle, lengthBytes } = buckets.get(name);
    add(handle, lengthBytes);
  }
  const numbers = new Set([...counted.keys(), ...[...volumes].map(({ number }) => number)]);
  const wrong = [...numbers].flatMap((volume) => {
    const recordedBytes = volumes.get(volume)?.liveBytes ?? 0;
    const countedBytes = counted.get(volume) ?? 0;
    return recordedBytes === countedBytes ? [] : [{ volume, recordedBytes, countedBytes }];
  });
  const recordedObjects = buckets.objects;
  return {
    objects,
    recordedObjects,
    wrong,
    orphans,
    isExact: wrong.length === 0 && orphans === 0 && objects === recordedObjects,
  };
}
