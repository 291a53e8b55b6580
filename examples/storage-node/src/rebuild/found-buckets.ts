import { KEEP, type Bucket } from '../ledger/bucket-record.ts';
import { handleOf } from '../volumes/handle.ts';
import type { VolumeScan } from './volume-scan.ts';

/**
 * Of buckets with one name, the one with the most objects keeps it. The others lost a concurrent
 * creation, or were deleted before it was created, and their tombstones are lost: those without
 * objects are left out, the rest are named after their numbers.
 */
export function bucketsOf(scan: VolumeScan): Bucket[] {
  const objectsOf = ({ id }: Bucket): number => {
    const names = [...(scan.names.get(id)?.values() ?? [])];
    return names.filter(({ object }) => object !== undefined).length;
  };
  const ids = new Set([...scan.buckets.keys(), ...scan.names.keys()]);
  const all = [...ids]
    .filter((id) => !scan.deletedBuckets.has(id))
    .map((id) => bucketOf(id, scan))
    .map((bucket) => ({ bucket, objects: objectsOf(bucket) }))
    .sort((one, other) => other.objects - one.objects || one.bucket.id - other.bucket.id);
  const buckets = new Map<string, Bucket>();
  for (const { bucket, objects } of all) {
    const isTaken = buckets.has(bucket.name);
    if (isTaken && objects === 0) continue;
    const name = isTaken ? `recovered-${bucket.id}` : bucket.name;
    buckets.set(name, { ...bucket, name });
  }
  return [...buckets.values()].sort((one, other) => one.id - other.id);
}

function bucketOf(id: number, scan: VolumeScan): Bucket {
  const found = scan.buckets.get(id);
  return {
    id,
    name: found?.name ?? `recovered-${id}`,
    createdMs: found?.createdMs ?? 0,
    policy: found?.policy ?? KEEP,
    objects: 0,
    bytes: 0,
    handle: found === undefined ? 1n : handleOf(found.volume, found.offset),
    lengthBytes: found?.lengthBytes ?? 0,
  };
}
