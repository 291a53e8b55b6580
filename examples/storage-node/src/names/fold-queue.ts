import { deltaKey, MAX_DELTA } from '../ledger/keys.ts';
import type { Turn } from '../ledger/publisher.ts';
import { handleOf } from '../volumes/handle.ts';
import type { Appended } from '../volumes/group-writer.ts';
import { encodeRecord } from '../volumes/record.ts';
import type { ByteName } from './byte-name.ts';
import type { IndexParts, LeafSource } from './index-parts.ts';
import { applyDeltas, encodeLeaf } from './leaf-block.ts';
import { NO_BLOCK, type Leaf } from './leaf-directory.ts';
import { encodeLeafRecord, leafKey } from './leaf-record.ts';
import { nextTurn } from '../turn-pace.ts';

/** Leaves that are folded with one write and one batch. */
const LEAVES_AT_ONCE = 32;
/** A leaf gets a new number after this many deltas. */
const RENEW_AT = MAX_DELTA / 2;

/** Adjacent leaves whose names and deltas are written as new blocks. */
interface Fold {
  readonly inputs: readonly {
    readonly leaf: Leaf;
    readonly handle: bigint;
    readonly last: number;
  }[];
  readonly pieces: readonly { readonly low: ByteName; readonly names: readonly ByteName[] }[];
  /** The record of each piece in a volume. */
  readonly blocks: (Appended | undefined)[];
}

export interface FoldFigures {
  folds: number;
  splits: number;
  joins: number;
  failed: number;
}

/** Folds leaves that have collected deltas, one group after another, in the background. */
export class FoldQueue {
  readonly #parts: IndexParts;
  readonly #index: LeafSource;
  readonly figures: FoldFigures = { folds: 0, splits: 0, joins: 0, failed: 0 };
  #due = new Set<Leaf>();
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** Leaves that could not be read: the number of deltas at which each is tried again. */
  readonly #retryAt = new WeakMap<Leaf, number>();

  constructor(parts: IndexParts, index: LeafSource) {
    this.#parts = parts;
    this.#index = index;
  }

  get waiting(): number {
    return this.#due.size;
  }

  add(leaf: Leaf): void {
    if (this.#isClosed || leaf.isFolding) return;
    if (leaf.deltas < (this.#retryAt.get(leaf) ?? 0)) return;
    this.#due.add(leaf);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Lets other changes of the turn that is being committed join.
    await nextTurn();
    while (this.#due.size > 0 && !this.#isClosed) {
      const leaves = [...this.#due].slice(0, LEAVES_AT_ONCE);
      for (const leaf of leaves) this.#due.delete(leaf);
      await this.#foldAll(leaves);
    }
    this.#running = undefined;
  }

  async #foldAll(leaves: readonly Leaf[]): Promise<void> {
    const taken: Leaf[] = [];
    const folds: Fold[] = [];
    try {
      for (const leaf of leaves) {
        if (leaf.isFolding || !this.#index.directory.has(leaf)) continue;
        const fold = await this.#prepare(leaf, taken).catch((error: unknown) =>
          this.#postpone(leaf, error),
        );
        if (fold !== undefined) folds.push(fold);
      }
      if (folds.length === 0) return;
      await this.#write(folds);
      await this.#parts.publisher.submit((turn) => this.#publish(turn, folds), { alone: true });
    } catch (error) {
      // The leaves stay unchanged, and are due again with their next delta.
      this.figures.failed++;
      this.#parts.onError(error);
    } finally {
      for (const leaf of taken) leaf.isFolding = false;
      for (const { blocks } of folds) for (const block of blocks) block?.settle();
    }
  }

  /** Others are folded without it. It is due again when it has twice as many deltas. */
  #postpone(leaf: Leaf, error: unknown): undefined {
    this.#retryAt.set(leaf, 2 * leaf.deltas);
    this.figures.failed++;
    this.#parts.onError(error);
    return undefined;
  }

  /** @throws the error of reading the leaf, such as DamagedObjectError */
  async #prepare(leaf: Leaf, taken: Leaf[]): Promise<Fold> {
    const leafNames = this.#parts.shape.names;
    leaf.isFolding = true;
    taken.push(leaf);
    let inputs = [leaf];
    let read = [await this.#read(leaf)];
    const before = this.#index.directory.leafBefore(leaf);
    if (read[0]!.names.length < leafNames / 4 && before !== undefined && !before.isFolding) {
      before.isFolding = true;
      taken.push(before);
      // If it is damaged, this leaf is folded alone.
      const other = await this.#read(before).catch(() => undefined);
      if (other !== undefined && other.names.length + read[0]!.names.length <= leafNames) {
        inputs = [before, leaf];
        read = [other, ...read];
      }
    }
    const names = read.flatMap((one) => one.names);
    const isAppend = inputs.length === 1 && read[0]!.isAppend;
    return {
      inputs: inputs.map((one, i) => ({ leaf: one, handle: read[i]!.handle, last: read[i]!.last })),
      pieces: piecesOf(names, inputs[0]!.low, isAppend, leafNames),
      blocks: [],
    };
  }

  async #read(leaf: Leaf): Promise<{
    readonly names: readonly ByteName[];
    readonly handle: bigint;
    readonly last: number;
    readonly isAppend: boolean;
  }> {
    const { handle } = leaf;
    const old = await this.#index.reader.names(leaf);
    const deltas = this.#index.deltasOf(leaf);
    const end = old.at(-1) ?? '';
    return {
      names: applyDeltas(old, deltas),
      handle,
      last: deltas.at(-1)?.number ?? 0,
      isAppend: deltas.every(({ name }) => name > end),
    };
  }

  async #write(folds: readonly Fold[]): Promise<void> {
    const { append, counters } = this.#parts;
    const writes: Promise<void>[] = [];
    for (const fold of folds) {
      for (const [i, { names }] of fold.pieces.entries()) {
        if (names.length === 0) continue;
        const body = encodeLeaf(names);
        const { leaf } = fold.inputs[0]!;
        const record = encodeRecord({
          kind: 'leaf',
          sequence: counters.takeSerial(),
          key: BigInt(this.#idOf(fold, i)),
          bucketId: leaf.bucketId,
          sizeBytes: body.length,
          timeMs: 0,
          name: Buffer.from(fold.pieces[i]!.low, 'latin1'),
          meta: new Uint8Array(),
          body: [body],
          bodyBytes: body.length,
        });
        writes.push(append(record).then((block) => void (fold.blocks[i] = block)));
      }
    }
    await Promise.all(writes);
  }

  readonly #ids = new WeakMap<Fold, number[]>();

  /** The first piece keeps the number of the first leaf; the others get new numbers. */
  #idOf(fold: Fold, piece: number): number {
    let ids = this.#ids.get(fold);
    if (ids === undefined) {
      const { leaf } = fold.inputs[0]!;
      const isWornOut = leaf.nextDelta > RENEW_AT;
      ids = fold.pieces.map((_, i) =>
        i === 0 && !isWornOut ? leaf.id : this.#parts.counters.takeLeaf(),
      );
      this.#ids.set(fold, ids);
    }
    return ids[piece]!;
  }

  #publish(turn: Turn, folds: readonly Fold[]): void {
    for (const fold of folds) {
      const isCurrent = fold.inputs.every(
        ({ leaf, handle }) => this.#index.directory.has(leaf) && leaf.handle === handle,
      );
      if (isCurrent) this.#publishOne(turn, fold);
    }
  }

  #publishOne(turn: Turn, fold: Fold): void {
    const outputs = fold.pieces.map((piece, i): Leaf => {
      const id = this.#idOf(fold, i);
      const block = fold.blocks[i];
      const old = fold.inputs[0]!.leaf;
      const nextDelta = id === old.id ? old.nextDelta : 1;
      return {
        id,
        bucketId: old.bucketId,
        low: piece.low,
        handle: block === undefined ? NO_BLOCK : handleOf(block.volume.number, block.offset),
        lengthBytes: block?.lengthBytes ?? 0,
        deltas: 0,
        firstDelta: nextDelta,
        nextDelta,
        isFolding: false,
      };
    });
    for (const { leaf, last } of fold.inputs) {
      this.#index.bury(turn, leaf);
      const late = this.#index.deltasOf(leaf);
      for (const { number } of late) turn.batch.delete(deltaKey(leaf.id, number));
      turn.batch.delete(leafKey(leaf.id));
      for (const { name, isThere } of late.filter(({ number }) => number > last)) {
        const target = outputs.findLast(({ low }) => low <= name)!;
        const data = Buffer.from(name, 'latin1');
        turn.batch.put(deltaKey(target.id, target.nextDelta++), isThere ? 1 : 2, data);
        target.deltas++;
      }
    }
    for (const [i, leaf] of outputs.entries()) {
      const block = fold.blocks[i];
      if (block !== undefined) turn.revive(block);
      turn.batch.put(leafKey(leaf.id), leaf.handle, encodeLeafRecord(leaf));
    }
    turn.onCommit(() => this.#replace(fold, outputs));
  }

  #replace(fold: Fold, outputs: readonly Leaf[]): void {
    this.figures.folds++;
    if (outputs.length > fold.inputs.length) this.figures.splits++;
    if (outputs.length < fold.inputs.length) this.figures.joins++;
    const { directory, reader } = this.#index;
    for (const [i, { leaf }] of fold.inputs.entries()) {
      if (i === 0) directory.replace(leaf, outputs[0]!);
      else directory.remove(leaf);
    }
    for (const [i, leaf] of outputs.entries()) {
      if (i > 0) directory.add(leaf);
      if (leaf.handle !== NO_BLOCK) reader.keep(leaf.handle, fold.pieces[i]!.names);
    }
  }

  /** Resolves when no leaf is due. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.idle();
  }
}

/**
 * A leaf is split at one and a half times its target size. A leaf that only grows at its end is
 * split unevenly: the first piece is fuller, and new names go to the last one.
 */
function piecesOf(
  names: readonly ByteName[],
  low: ByteName,
  isAppend: boolean,
  leafNames: number,
): { readonly low: ByteName; readonly names: readonly ByteName[] }[] {
  if (names.length <= 1.5 * leafNames) return [{ low, names }];
  const size = isAppend
    ? Math.ceil(1.25 * leafNames)
    : Math.ceil(names.length / Math.round(names.length / leafNames));
  const pieces: { readonly low: ByteName; readonly names: readonly ByteName[] }[] = [];
  for (let from = 0; from < names.length; from += size) {
    const piece = names.slice(from, from + size);
    pieces.push({ low: from === 0 ? low : piece[0]!, names: piece });
  }
  return pieces;
}
