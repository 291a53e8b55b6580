import type { StoreSnapshot } from 'lodestore';
import { rangeOf, type Space } from '../ledger/keys.ts';
import { decodeLeafRecord } from '../names/leaf-record.ts';
import { decodeContent, decodeExtent } from '../objects/content-record.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import { decodeEntry } from '../objects/object-entry.ts';
import { decodePart } from '../objects/upload-record.ts';
import { placeOf } from '../volumes/handle.ts';
import { nextTurn } from '../turn-pace.ts';

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

/** Records that are counted without a turn for others. */
const RECORDS_AT_ONCE = 4_096;

/** What is recorded, and all that it is counted from, at one moment between two turns. */
interface Moment {
  readonly records: StoreSnapshot;
  readonly objects: number;
  readonly liveBytes: ReadonlyMap<number, number>;
  readonly buckets: readonly { readonly handle: bigint; readonly lengthBytes: number }[];
}

async function momentOf({ buckets, publisher, store, volumes }: NodeParts): Promise<Moment> {
  let moment: Moment | undefined;
  return publisher.submit(
    () => {
      // A change may run again.
      moment?.records.release();
      moment = {
        records: store.snapshot(),
        objects: buckets.objects,
        liveBytes: new Map([...volumes].map(({ number, liveBytes }) => [number, liveBytes])),
        buckets: buckets.all().map(({ handle, lengthBytes }) => ({ handle, lengthBytes })),
      };
      return moment;
    },
    { alone: true },
  );
}

/** Exact beside writers: it counts what was published at one moment. */
export async function recount(parts: NodeParts): Promise<Recount> {
  const moment = await momentOf(parts);
  try {
    return await count(moment, parts.identity.epochMs);
  } finally {
    moment.records.release();
  }
}

async function count(moment: Moment, epochMs: number): Promise<Recount> {
  const counted = new Map<number, number>();
  const add = (handle: bigint, lengthBytes: number): void => {
    const { volume } = placeOf(handle);
    if (lengthBytes > 0) counted.set(volume, (counted.get(volume) ?? 0) + lengthBytes);
  };
  let objects = 0;
  let orphans = 0;
  let seen = 0;
  const each = async (
    space: Space,
    lengthOf: (record: { readonly value: bigint; readonly data: Uint8Array }) => number,
  ): Promise<void> => {
    for (const [, record] of moment.records.entries(rangeOf(space))) {
      add(record.value, lengthOf(record));
      if (++seen % RECORDS_AT_ONCE === 0) await nextTurn();
    }
  };
  await each('object', ({ data }) => {
    objects++;
    return decodeEntry(data, epochMs).lengthBytes;
  });
  await each('extent', ({ data }) => {
    orphans++;
    return decodeExtent(data).lengthBytes;
  });
  await each('content', ({ data }) => {
    for (const run of decodeContent(data)) orphans -= run.count;
    return 0;
  });
  await each('part', (record) => {
    orphans -= decodePart(0, record).extents;
    return 0;
  });
  await each('leaf', (record) => decodeLeafRecord(0, record).lengthBytes);
  for (const { handle, lengthBytes } of moment.buckets) add(handle, lengthBytes);
  const numbers = new Set([...counted.keys(), ...moment.liveBytes.keys()]);
  const wrong = [...numbers].flatMap((volume) => {
    const recordedBytes = moment.liveBytes.get(volume) ?? 0;
    const countedBytes = counted.get(volume) ?? 0;
    return recordedBytes === countedBytes ? [] : [{ volume, recordedBytes, countedBytes }];
  });
  const recordedObjects = moment.objects;
  return {
    objects,
    recordedObjects,
    wrong,
    orphans,
    isExact: wrong.length === 0 && orphans === 0 && objects === recordedObjects,
  };
}
