import type { MetadataStore } from 'lodestore';
import { deltaKey, deltaNumberOf, MAX_DELTA, rangeOf, lowerOf } from '../ledger/keys.ts';
import type { Publisher, Turn } from '../ledger/publisher.ts';
import type { StoredRecord } from '../ledger/stored-record.ts';
import { DamagedObjectError } from '../node-errors.ts';
import { placeOf } from '../volumes/handle.ts';
import type { ByteName } from './byte-name.ts';
import { FoldQueue } from './fold-queue.ts';
import { applyDeltas } from './leaf-block.ts';
import { LeafDirectory, NO_BLOCK, type Leaf } from './leaf-directory.ts';
import { LeafReader } from './leaf-reader.ts';
import { decodeLeafRecord, encodeLeafRecord, leafKey } from './leaf-record.ts';
import type { IndexParts, LeafSource, NumberedDelta } from './index-parts.ts';
import { nextTurn } from '../turn-pace.ts';

/**
 * The names of all objects in byte order, bucket by bucket.
 *
 * A leaf has the names from its low name up to the next leaf's. It is a block of about 256
 * front-coded names in a volume, plus up to 64 deltas in lodestore: each change of the set of names
 * is one delta, in the batch that publishes the object. A full leaf is folded: block and deltas
 * become one or more new blocks, and one batch replaces record and deltas, and moves later deltas.
 */
export class NameIndex implements LeafSource {
  readonly directory = new LeafDirectory();
  readonly reader: LeafReader;
  readonly folds: FoldQueue;
  readonly #store: MetadataStore;
  readonly #publisher: Publisher;
  readonly #parts: IndexParts;

  constructor(parts: IndexParts) {
    this.#store = parts.store;
    this.#publisher = parts.publisher;
    this.#parts = parts;
    this.reader = new LeafReader(parts.volumes, parts.cachedLeaves);
    this.folds = new FoldQueue(parts, this);
  }

  /** Loads all leaves from their records, at an open. */
  load(): void {
    const leaves: Leaf[] = [];
    for (const [key, record] of this.#store.entries(rangeOf('leaf'))) {
      leaves.push(decodeLeafRecord(Number(lowerOf(key)), record));
    }
    this.directory.load(leaves);
  }

  /** The first leaf of a new bucket. */
  addBucket(turn: Turn, bucketId: number): void {
    const leaf: Leaf = {
      id: this.#parts.counters.takeLeaf(),
      bucketId,
      low: '',
      handle: NO_BLOCK,
      lengthBytes: 0,
      deltas: 0,
      firstDelta: 1,
      nextDelta: 1,
      isFolding: false,
    };
    turn.put(leafKey(leaf.id), NO_BLOCK, encodeLeafRecord(leaf));
    turn.onCommit(() => this.directory.add(leaf));
  }

  /** Removes all leaves of an empty bucket. The change must be alone in its turn. */
  removeBucket(turn: Turn, bucketId: number): void {
    for (const leaf of this.directory.leavesOf(bucketId)) {
      this.bury(turn, leaf);
      turn.delete(leafKey(leaf.id));
      if (leaf.deltas !== 0) turn.batch.deleteRange(deltaRange(leaf.id));
      turn.onCommit(() => this.directory.remove(leaf));
    }
  }

  /** The block of a leaf is no longer needed. */
  bury(turn: Turn, leaf: Leaf): void {
    if (leaf.handle === NO_BLOCK) return;
    turn.bury(this.#parts.volumes.get(Number(leaf.handle >> 40n)), leaf.lengthBytes);
  }

  /**
   * Called before a change of which names may be a part.
   *
   * @throws DamagedObjectError if the leaf of the name has no room for a change: its block is
   *   damaged, so that its deltas were never folded
   */
  check(bucketId: number, name: ByteName): void {
    const leaf = this.directory.leafOf(bucketId, name);
    this.#count(leaf);
    if (leaf.nextDelta <= MAX_DELTA) return;
    const { volume, offset } = placeOf(leaf.handle);
    const message =
      'a block of names cannot be read, and takes no more changes: run "lodestore-node rebuild-index"';
    throw new DamagedObjectError(volume, offset, message);
  }

  /** Adds or removes a name that was checked, as part of the change of its object. */
  change(turn: Turn, bucketId: number, name: ByteName, isThere: boolean): void {
    const leaf = this.directory.leafOf(bucketId, name);
    this.#count(leaf);
    const number = leaf.nextDelta++;
    const data = Buffer.from(name, 'latin1');
    turn.batch.put(deltaKey(leaf.id, number), isThere ? 1 : 2, data);
    turn.onCommit(() => {
      leaf.deltas++;
      if (leaf.deltas >= this.#parts.shape.foldDeltas) this.folds.add(leaf);
    });
  }

  /** Deltas are counted when a leaf is first changed, so that an open is fast. */
  #count(leaf: Leaf): void {
    if (leaf.deltas >= 0) return;
    const numbers = [...this.#store.keys(deltaRange(leaf.id))].map(deltaNumberOf);
    leaf.deltas = numbers.length;
    leaf.nextDelta = Math.max(leaf.nextDelta, (numbers.at(-1) ?? 0) + 1);
    leaf.firstDelta = numbers[0] ?? leaf.nextDelta;
  }

  /** Published deltas of a leaf in order. */
  deltasOf(leaf: Leaf): NumberedDelta[] {
    const deltas: NumberedDelta[] = [];
    if (leaf.deltas < 0) {
      for (const [key, record] of this.#store.entries(deltaRange(leaf.id))) {
        deltas.push(deltaOf(deltaNumberOf(key), record));
      }
      return deltas;
    }
    // The store would sort its unmerged records for a range: that takes a millisecond.
    for (let number = leaf.firstDelta; number < leaf.nextDelta; number++) {
      const record = this.#store.get(deltaKey(leaf.id, number));
      if (record !== undefined) deltas.push(deltaOf(number, record));
    }
    return deltas;
  }

  /**
   * Names of a bucket from `from` on, leaf by leaf, each leaf at one moment. With `next(name)`, the
   * caller continues at a later name.
   *
   * @throws DamagedObjectError
   */
  async *namesFrom(
    bucketId: number,
    from: ByteName,
  ): AsyncGenerator<readonly ByteName[], void, ByteName | undefined> {
    let at = from;
    for (;;) {
      const page: LeafPage | undefined = await this.#leafAt(bucketId, at);
      if (page === undefined) return;
      const jump: ByteName | undefined = yield page.names;
      if (page.next === undefined) return;
      at = jump !== undefined && jump > page.next ? jump : page.next;
    }
  }

  async #leafAt(bucketId: number, at: ByteName): Promise<LeafPage | undefined> {
    for (;;) {
      if (this.directory.leavesOf(bucketId).length === 0) return undefined;
      const leaf = this.directory.leafOf(bucketId, at);
      const { handle } = leaf;
      const names = await this.reader.names(leaf);
      // Between the store's change and the directory's, or after both: check again.
      const isCurrent =
        this.directory.has(leaf) &&
        leaf.handle === handle &&
        this.#store.valueOf(leafKey(leaf.id)) === handle;
      if (!isCurrent) {
        await nextTurn();
        continue;
      }
      const all = applyDeltas(names, this.deltasOf(leaf));
      return {
        names: all.slice(lowerBound(all, at)),
        next: this.directory.leafBehind(leaf)?.low,
      };
    }
  }

  async close(): Promise<void> {
    await this.folds.close();
    await this.#publisher.idle();
  }
}

interface LeafPage {
  readonly names: readonly ByteName[];
  /** The start of the next leaf. */
  readonly next: ByteName | undefined;
}

function deltaOf(number: number, { value, data }: StoredRecord): NumberedDelta {
  const name = Buffer.from(data.buffer, data.byteOffset, data.length).toString('latin1');
  return { number, name, isThere: value === 1n };
}

function deltaRange(leafId: number): { readonly gte: bigint; readonly lte: bigint } {
  return { gte: deltaKey(leafId, 0), lte: deltaKey(leafId, MAX_DELTA) };
}

function lowerBound(names: readonly ByteName[], name: ByteName): number {
  let from = 0;
  let to = names.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (names[middle]! < name) from = middle + 1;
    else to = middle;
  }
  return from;
}
