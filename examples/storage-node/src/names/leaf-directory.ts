import type { ByteName } from './byte-name.ts';

/** The handle of a leaf without names. */
export const NO_BLOCK = 1n;

/** The place of a leaf, and the changes since it was written. */
export interface Leaf {
  readonly id: number;
  readonly bucketId: number;
  /** The lowest name that belongs here; '' for the first leaf of a bucket. */
  readonly low: ByteName;
  /** Handle of its names in a volume, or `NO_BLOCK`. */
  handle: bigint;
  /** Length of its record in the volume. */
  lengthBytes: number;
  /** Number of pending deltas; -1: not counted since the open. */
  deltas: number;
  /** No pending delta has a lower number. Known once the deltas are counted. */
  firstDelta: number;
  nextDelta: number;
  isFolding: boolean;
}

/** The leaves of all buckets, ordered by their low names. About 0.6 bytes per object. */
export class LeafDirectory {
  readonly #buckets = new Map<number, Leaf[]>();
  count = 0;

  /** All leaves of a bucket, ascending. */
  leavesOf(bucketId: number): readonly Leaf[] {
    return this.#buckets.get(bucketId) ?? [];
  }

  [Symbol.iterator](): IterableIterator<readonly Leaf[]> {
    return this.#buckets.values();
  }

  /** The leaf that `name` belongs to. Each bucket has at least one leaf. */
  leafOf(bucketId: number, name: ByteName): Leaf {
    const leaves = this.#buckets.get(bucketId)!;
    return leaves[indexOf(leaves, name)]!;
  }

  leafBehind(leaf: Leaf): Leaf | undefined {
    const leaves = this.#buckets.get(leaf.bucketId) ?? [];
    return leaves[indexOf(leaves, leaf.low) + 1];
  }

  leafBefore(leaf: Leaf): Leaf | undefined {
    const leaves = this.#buckets.get(leaf.bucketId) ?? [];
    return leaves[indexOf(leaves, leaf.low) - 1];
  }

  has(leaf: Leaf): boolean {
    const leaves = this.#buckets.get(leaf.bucketId);
    return leaves !== undefined && leaves[indexOf(leaves, leaf.low)] === leaf;
  }

  add(leaf: Leaf): void {
    const leaves = this.#buckets.get(leaf.bucketId);
    if (leaves === undefined) this.#buckets.set(leaf.bucketId, [leaf]);
    else leaves.splice(indexOf(leaves, leaf.low) + 1, 0, leaf);
    this.count++;
  }

  /** Adds many leaves, in any order. */
  load(found: readonly Leaf[]): void {
    for (const leaf of found) {
      const leaves = this.#buckets.get(leaf.bucketId);
      if (leaves === undefined) this.#buckets.set(leaf.bucketId, [leaf]);
      else leaves.push(leaf);
      this.count++;
    }
    for (const leaves of this.#buckets.values()) {
      leaves.sort((one, other) => (one.low < other.low ? -1 : 1));
    }
  }

  /** Replaces `leaf` by `by`, which has the same low name. */
  replace(leaf: Leaf, by: Leaf): void {
    const leaves = this.#buckets.get(leaf.bucketId)!;
    leaves[indexOf(leaves, leaf.low)] = by;
  }

  remove(leaf: Leaf): void {
    const leaves = this.#buckets.get(leaf.bucketId)!;
    leaves.splice(indexOf(leaves, leaf.low), 1);
    this.count--;
    if (leaves.length === 0) this.#buckets.delete(leaf.bucketId);
  }
}

/** The last leaf whose low name is not after `name`; -1 if there is none. */
function indexOf(leaves: readonly Leaf[], name: ByteName): number {
  let from = 0;
  let to = leaves.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (leaves[middle]!.low <= name) from = middle + 1;
    else to = middle;
  }
  return from - 1;
}
