import { NoSuchBucketError } from '../node-errors.ts';
import type { Bucket } from '../ledger/bucket-record.ts';

/** All buckets, by name and by number. */
export class BucketTable {
  readonly #byName = new Map<string, Bucket>();
  readonly #byId = new Map<number, Bucket>();

  add(bucket: Bucket): void {
    this.#byName.set(bucket.name, bucket);
    this.#byId.set(bucket.id, bucket);
  }

  remove(bucket: Bucket): void {
    this.#byName.delete(bucket.name);
    this.#byId.delete(bucket.id);
  }

  find(name: string): Bucket | undefined {
    return this.#byName.get(name);
  }

  /** @throws NoSuchBucketError */
  get(name: string): Bucket {
    const bucket = this.#byName.get(name);
    if (bucket === undefined) throw new NoSuchBucketError(name);
    return bucket;
  }

  byId(id: number): Bucket | undefined {
    return this.#byId.get(id);
  }

  /** @throws NoSuchBucketError if it was deleted since it was looked up */
  check(bucket: Bucket): void {
    if (this.#byId.get(bucket.id) !== bucket) throw new NoSuchBucketError(bucket.name);
  }

  get objects(): number {
    let count = 0;
    for (const bucket of this.#byId.values()) count += bucket.objects;
    return count;
  }

  /** Ordered by name. */
  all(): Bucket[] {
    return [...this.#byName.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }
}
