import { joinU64 } from '../../base/u64.ts';
import type { Base } from '../base/base.ts';
import type { Chunk } from '../chunk/chunk.ts';
import type { Delta } from '../delta/delta.ts';
import type { DeltaMark } from '../delta/publication.ts';
import type { OlderLayers } from '../base/older-layers.ts';
import type { KeyPrefix } from '../layer/key-prefix.ts';
import type { TableRecord } from '../layer/table-record.ts';
import type { FoundRecord } from '../layer/update-layer.ts';
import { U64Filter, type ValueRange } from '../layer/value-search.ts';

type Entry = [bigint, TableRecord];

/** The layers, and the visible prefix of the live delta, at one point in time. */
export interface ScanMoment {
  readonly live: Delta;
  readonly mark: DeltaMark;
  readonly older: OlderLayers;
}

/** Maximum number of entries per yield, which bounds the time to copy records. */
const MOST_ENTRIES = 256;
const NONE: readonly Entry[] = [];

/**
 * Finds the records of a view with a value in a range, by scanning the value columns: the base
 * chunk by chunk, then the newer layers. A record is skipped if a newer layer has its key.
 */
export class ValueScan {
  readonly #live: Delta;
  readonly #mark: DeltaMark;
  readonly #older: OlderLayers;
  readonly #range: ValueRange;
  readonly #keys: KeyPrefix | undefined;
  readonly #keyFilter: U64Filter | undefined;
  readonly #steps: Generator<readonly Entry[], void, undefined>;
  #indexes: Uint32Array = new Uint32Array(0);
  /**
   * Whether rows before the mark can be distinguished from later rows of their key without sorting
   * first.
   */
  #isSorted = false;

  /** With `keys`, only keys with its prefix are returned, without the prefix. */
  constructor(moment: ScanMoment, range: ValueRange, keys?: KeyPrefix) {
    this.#live = moment.live;
    this.#mark = moment.mark;
    this.#older = moment.older;
    this.#range = range;
    this.#keys = keys;
    this.#keyFilter = keys && new U64Filter({ lowest: keys.first, highest: keys.last });
    this.#steps = this.#run();
  }

  /**
   * Returns some more entries, often none, in a fraction of a millisecond. Undefined when all are
   * found.
   */
  step(): readonly Entry[] | undefined {
    return this.#steps.next().value ?? undefined;
  }

  *#run(): Generator<readonly Entry[], void, undefined> {
    const { lowest, highest } = this.#range;
    if (lowest > highest) return;
    const { base, frozen } = this.#older;
    for (const chunk of this.#chunks(base)) yield* this.#scanChunk(chunk);
    for (let depth = frozen.length - 1; depth >= 0; depth--) {
      const found = frozen[depth]!.findValues(this.#range, this.#keyFilter);
      yield* this.#show(found, (low, high) => this.#isOverridden(low, high, depth));
    }
    const found = this.#live.findValues(this.#range, this.#keyFilter, this.#mark);
    yield* this.#show(found, () => false);
  }

  #chunks(base: Base): Iterable<Chunk> {
    return this.#keys === undefined
      ? base.chunks()
      : base.chunksBetween(this.#keys.first, this.#keys.last);
  }

  *#scanChunk(chunk: Chunk): Generator<readonly Entry[], void, undefined> {
    const { recordCount } = chunk;
    if (this.#indexes.length < recordCount) this.#indexes = new Uint32Array(recordCount);
    const count = chunk.findValues(this.#range, this.#indexes);
    const depth = this.#older.frozen.length;
    let entries: Entry[] = [];
    for (let i = 0; i < count; i++) {
      const index = this.#indexes[i]!;
      const low = chunk.keyLowAt(index);
      const high = chunk.keyHighAt(index);
      if (this.#keyFilter?.accepts(low, high) === false) continue;
      if (this.#isOverridden(low, high, depth)) continue;
      entries.push([this.#keyOf(low, high), chunk.recordAt(index)]);
      if (entries.length < MOST_ENTRIES) continue;
      yield* this.#giveWay(entries);
      entries = [];
    }
    yield* this.#giveWay(entries);
  }

  *#show(
    found: Iterable<readonly FoundRecord[]>,
    isOverridden: (low: number, high: number) => boolean,
  ): Generator<readonly Entry[], void, undefined> {
    for (const records of found) {
      const entries: Entry[] = [];
      for (const { low, high, record } of records) {
        if (!isOverridden(low, high)) entries.push([this.#keyOf(low, high), record]);
      }
      yield* this.#giveWay(entries);
    }
  }

  #keyOf(low: number, high: number): bigint {
    const key = joinU64(low, high);
    return this.#keys === undefined ? key : this.#keys.toShort(key);
  }

  /**
   * While it yields, commits may add rows to the live delta. They are then sorted, so that
   * `positionAt` is fast.
   */
  *#giveWay(entries: readonly Entry[]): Generator<readonly Entry[], void, undefined> {
    yield entries;
    if (this.#isSorted || this.#live.mark === this.#mark) return;
    while (this.#live.sortStep()) yield NONE;
    this.#isSorted = true;
  }

  /** Whether a newer layer, `frozen[0, depth)` or the live delta, has a row of this key. */
  #isOverridden(low: number, high: number, depth: number): boolean {
    if (this.#live.positionAt(low, high, this.#mark) >= 0) return true;
    const { frozen } = this.#older;
    for (let i = 0; i < depth; i++) {
      if (frozen[i]!.stateOf(low, high) !== 'unknown') return true;
    }
    return false;
  }
}
