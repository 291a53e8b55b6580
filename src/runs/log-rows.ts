import { CHUNK_TARGET_BYTES, CHUNK_TARGET_RECORDS, ROW_HEADER_BYTES } from '../base/limits.ts';
import { finishSteps, type Steps } from '../base/steps.ts';
import type { ColumnMemory } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';
import { cutColumns, RowBlock } from './row-columns.ts';
import { RepeatedKeys } from './repeated-keys.ts';
import { RUN_ENTRY_WORDS, sortEntries } from './row-entries.ts';
import { dropSuperseded } from './superseded-rows.ts';
import {
  DATA_LENGTH,
  DATA_LENGTH_WORD,
  KEY_HIGH,
  KEY_HIGH_WORD,
  KEY_LOW,
  KEY_LOW_WORD,
} from '../format/row.ts';

/**
 * Each block is twice as long as the previous one, up to the largest: a log may hold one row or
 * millions.
 */
const FIRST_BLOCK_BYTES: number = 16 * 1024;
const LARGEST_BLOCK_BYTES: number = 4 * 1024 * 1024;
/** The number of blocks that a log of hot keys keeps refilling. */
const MAX_SPARES = 6;
/** Superseded rows are dropped once they may exceed both this size and half of all rows. */
export const SUPERSEDED_ROWS_BYTES: number = 16 * 1024 * 1024;
/**
 * Prefetch distance: rows in key order are scattered in memory, and reading their lengths together
 * overlaps the cache misses.
 */
const AHEAD_ROWS = 64;
/** Words of the entries that one step processes. */
const STEP_WORDS: number = 4_096 * RUN_ENTRY_WORDS;

/**
 * Blocks of finished readers, for reuse. Allocating memory costs as much as the rest of reading a
 * log, and freed blocks would stay until the next full GC. The reference is weak, because there may
 * be no further reader.
 */
let spare: WeakRef<RowBlock[]> | undefined;

function takeBlock(lengthBytes: number): RowBlock {
  const blocks = spare?.deref();
  const kept = blocks?.pop();
  if (kept === undefined || kept.bytes.length < lengthBytes) return new RowBlock(lengthBytes);
  kept.usedBytes = 0;
  return kept;
}

/** Keeps only blocks of the largest length, which any reader can use. */
function keepSpares(blocks: readonly RowBlock[]): void {
  const kept = spare?.deref() ?? [];
  for (const block of blocks) {
    if (block.bytes.length === LARGEST_BLOCK_BYTES && kept.length < MAX_SPARES) kept.push(block);
  }
  spare = new WeakRef(kept);
}

/** Where the next entry is written, and the offset of its row in bytes of the block. */
interface EntryPlace {
  at: number;
  offset: number;
}

/** Adds entries, up to `end`, for the rows of a block in which all rows are aligned to words. */
function addEntriesOfWords(
  entries: Uint32Array,
  place: EntryPlace,
  end: number,
  ordinal: number,
  { words, usedBytes }: RowBlock,
): void {
  let { at } = place;
  let offset = place.offset >>> 2;
  const used = usedBytes >>> 2;
  for (; offset < used && at < end; at += RUN_ENTRY_WORDS) {
    entries[at] = words[offset + KEY_LOW_WORD]!;
    entries[at + 1] = words[offset + KEY_HIGH_WORD]!;
    entries[at + 2] = ordinal;
    entries[at + 3] = 4 * offset;
    offset += (ROW_HEADER_BYTES + words[offset + DATA_LENGTH_WORD]!) >>> 2;
  }
  place.at = at;
  place.offset = 4 * offset;
}

function addEntriesOfBytes(
  entries: Uint32Array,
  place: EntryPlace,
  end: number,
  ordinal: number,
  { view, usedBytes }: RowBlock,
): void {
  let { at, offset } = place;
  for (; offset < usedBytes && at < end; at += RUN_ENTRY_WORDS) {
    entries[at] = view.getUint32(offset + KEY_LOW, true);
    entries[at + 1] = view.getUint32(offset + KEY_HIGH, true);
    entries[at + 2] = ordinal;
    entries[at + 3] = offset;
    offset += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
  }
  place.at = at;
  place.offset = offset;
}

/**
 * Collects the rows of a log and turns them into one run: ascending keys, the last update of each.
 * A log of some kilobytes can hold a gigabyte of rows of one key. So superseded rows are dropped by
 * `check` between two groups, as soon as they may exceed both SUPERSEDED_ROWS_BYTES and half of all
 * rows. The interval doubles each time, so each row is scanned only a few times.
 */
export class LogRows {
  #blocks: RowBlock[] = [];
  /** Empty blocks, for reuse. */
  #free: RowBlock[] = [];
  readonly #run: Columns[] = [];
  readonly #memory: ColumnMemory;
  #rowCount = 0;
  #collectedBytes = 0;
  readonly #supersededBytes: number;
  /** Superseded rows are counted again when `#collectedBytes` reaches this. */
  #nextCheckBytes: number;
  /** Created at the first count. */
  #repeats: RepeatedKeys | undefined;
  /** Whether each key is greater than the previous one. */
  #isAscending = true;
  /**
   * Whether the length of each row's data is a multiple of a word, so that all rows are aligned.
   */
  #isAligned = true;
  #lastLow = -1;
  #lastHigh = -1;
  #nextBlockBytes: number;
  /** Rows of the next chunk. */
  #gathered: RowBlock | undefined;
  #gatheredCount = 0;

  /**
   * `expectedBytes` of rows get one block, up to the largest block. `memory`: of the resulting run.
   */
  constructor(
    expectedBytes: number = FIRST_BLOCK_BYTES,
    memory: ColumnMemory = 'own',
    supersededBytes: number = SUPERSEDED_ROWS_BYTES,
  ) {
    this.#nextBlockBytes = Math.min(expectedBytes, LARGEST_BLOCK_BYTES);
    this.#memory = memory;
    this.#supersededBytes = supersededBytes;
    this.#nextCheckBytes = supersededBytes;
  }

  /** Whether {@link check} must be called before more groups are added. */
  get isCheckDue(): boolean {
    return this.#collectedBytes >= this.#nextCheckBytes;
  }

  /** Copies the rows of a group. They must have been validated. */
  add(rows: Uint8Array): void {
    if (rows.length === 0) return;
    let block = this.#blocks.at(-1);
    if (block === undefined || block.usedBytes + rows.length > block.bytes.length) {
      block = this.#nextBlock(rows.length);
      this.#blocks.push(block);
    }
    const from = block.usedBytes;
    block.bytes.set(rows, from);
    block.usedBytes = from + rows.length;
    const scanned = this.#isAligned ? this.#scanWords(block, from) : from;
    this.#scanBytes(block, scanned);
    this.#collectedBytes += rows.length;
  }

  #nextBlock(leastBytes: number): RowBlock {
    const free = this.#free.pop();
    if (free !== undefined && free.bytes.length >= leastBytes) return free;
    const block = takeBlock(Math.max(this.#nextBlockBytes, leastBytes));
    this.#nextBlockBytes = Math.min(2 * this.#nextBlockBytes, LARGEST_BLOCK_BYTES);
    return block;
  }

  /**
   * Drops superseded rows if they may be half of all collected bytes, and schedules the next check.
   * A step passes over some thousand rows.
   */
  *check(): Steps<void> {
    const mostBytes = yield* this.#mostSupersededBytes();
    if (2 * mostBytes >= this.#collectedBytes) yield* this.#drop();
    // Each added byte may supersede another one.
    const slackBytes = this.#collectedBytes - 2 * (yield* this.#mostSupersededBytes());
    this.#nextCheckBytes =
      this.#collectedBytes + Math.max(slackBytes, Math.ceil(this.#supersededBytes / 4));
  }

  *#mostSupersededBytes(): Steps<number> {
    if (this.#isAscending) return 0;
    this.#repeats ??= new RepeatedKeys();
    yield* this.#repeats.count(this.#blocks);
    return this.#repeats.mostBytes;
  }

  *#drop(): Steps<void> {
    const { rowCount, kept, freed } = yield* dropSuperseded(this.#blocks);
    this.#blocks = kept;
    this.#free.push(...freed);
    this.#rowCount = rowCount;
    this.#collectedBytes = kept.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
    if (this.#repeats !== undefined) yield* this.#repeats.restart(kept);
  }

  /**
   * Scans rows by words. Returns the offset of the first row that is not aligned, or the end of the
   * rows.
   */
  #scanWords({ words, usedBytes }: RowBlock, from: number): number {
    let [lastLow, lastHigh] = [this.#lastLow, this.#lastHigh];
    let { isAscending, rowCount } = { isAscending: this.#isAscending, rowCount: this.#rowCount };
    const end = usedBytes >>> 2;
    let offset = from >>> 2;
    while (offset < end) {
      const length = words[offset + DATA_LENGTH_WORD]!;
      if ((length & 3) !== 0) break;
      const low = words[offset + KEY_LOW_WORD]!;
      const high = words[offset + KEY_HIGH_WORD]!;
      if (high < lastHigh || (high === lastHigh && low <= lastLow)) isAscending = false;
      lastLow = low;
      lastHigh = high;
      rowCount++;
      offset += (ROW_HEADER_BYTES + length) >>> 2;
    }
    [this.#lastLow, this.#lastHigh] = [lastLow, lastHigh];
    [this.#isAscending, this.#rowCount] = [isAscending, rowCount];
    return 4 * offset;
  }

  #scanBytes({ view, usedBytes }: RowBlock, from: number): void {
    for (let offset = from; offset < usedBytes;) {
      const low = view.getUint32(offset + KEY_LOW, true);
      const high = view.getUint32(offset + KEY_HIGH, true);
      const length = view.getUint32(offset + DATA_LENGTH, true);
      if (high < this.#lastHigh || (high === this.#lastHigh && low <= this.#lastLow)) {
        this.#isAscending = false;
      }
      if ((length & 3) !== 0) this.#isAligned = false;
      this.#lastLow = low;
      this.#lastHigh = high;
      this.#rowCount++;
      offset += ROW_HEADER_BYTES + length;
    }
  }

  /** Returns the run. `add` must not be called afterwards. */
  finish(): Columns[] {
    return finishSteps(this.finishInSteps());
  }

  /** Like {@link finish}. A step makes one chunk, or sorts or gathers some thousand rows. */
  *finishInSteps(): Steps<Columns[]> {
    // Sorting takes memory for every row.
    const isLong = this.#collectedBytes > this.#supersededBytes;
    const mostBytes = isLong ? yield* this.#mostSupersededBytes() : 0;
    if (mostBytes > this.#supersededBytes / 4) yield* this.#drop();
    this.#repeats = undefined;
    if (this.#isAscending) for (const block of this.#blocks) yield* this.#cutBlock(block);
    else yield* this.#gatherSorted();
    this.#flush();
    keepSpares([...this.#blocks, ...this.#free]);
    this.#blocks = [];
    this.#free = [];
    return this.#run;
  }

  /**
   * Makes columns from the block's rows in place. Its last rows are gathered with those of the next
   * block.
   */
  *#cutBlock(block: RowBlock): Steps<void> {
    let from = 0;
    if (this.#gatheredCount > 0) {
      from = this.#gatherUntilFull(block);
      yield;
    }
    while (from < block.usedBytes) {
      const { columns, end } = cutColumns(block, from, this.#isAligned, this.#memory);
      if (end === block.usedBytes && block !== this.#blocks.at(-1)) {
        this.#gatherRest(block, from, columns.recordCount);
        return;
      }
      this.#run.push(columns);
      from = end;
      yield;
    }
  }

  #gatherRest(block: RowBlock, from: number, count: number): void {
    const rest = this.#roomFor(block.usedBytes - from);
    rest.bytes.set(block.bytes.subarray(from, block.usedBytes), rest.usedBytes);
    rest.usedBytes += block.usedBytes - from;
    this.#gatheredCount += count;
  }

  /**
   * Fills the chunk that is being gathered. Returns the offset of the first row of the next one.
   */
  #gatherUntilFull(block: RowBlock): number {
    let from = 0;
    while (from < block.usedBytes && this.#gatheredCount > 0) {
      const lengthBytes = ROW_HEADER_BYTES + block.view.getUint32(from + DATA_LENGTH, true);
      if (this.#isFullFor(lengthBytes)) this.#flush();
      else {
        this.#gather(block, from, lengthBytes);
        from += lengthBytes;
      }
    }
    return from;
  }

  #isFullFor(lengthBytes: number): boolean {
    if (this.#gatheredCount === CHUNK_TARGET_RECORDS) return true;
    const usedBytes = this.#gathered?.usedBytes ?? 0;
    return this.#gatheredCount > 0 && usedBytes + lengthBytes > CHUNK_TARGET_BYTES;
  }

  #gather(block: RowBlock, from: number, lengthBytes: number): void {
    const target = this.#roomFor(lengthBytes);
    if (this.#isAligned && lengthBytes <= 256) {
      const [to, source] = [target.usedBytes >>> 2, from >>> 2];
      const { words } = block;
      for (let k = 0; k < lengthBytes >>> 2; k++) target.words[to + k] = words[source + k]!;
    } else target.bytes.set(block.bytes.subarray(from, from + lengthBytes), target.usedBytes);
    target.usedBytes += lengthBytes;
    this.#gatheredCount++;
  }

  #roomFor(lengthBytes: number): RowBlock {
    const had = this.#gathered;
    const needed = (had?.usedBytes ?? 0) + lengthBytes;
    if (had !== undefined && needed <= had.bytes.length) return had;
    const block = new RowBlock(Math.max(CHUNK_TARGET_BYTES, needed));
    if (had !== undefined) block.bytes.set(had.bytes.subarray(0, had.usedBytes));
    block.usedBytes = had?.usedBytes ?? 0;
    this.#gathered = block;
    return block;
  }

  #flush(): void {
    if (this.#gathered === undefined || this.#gatheredCount === 0) return;
    this.#run.push(cutColumns(this.#gathered, 0, this.#isAligned, this.#memory).columns);
    this.#gathered.usedBytes = 0;
    this.#gatheredCount = 0;
  }

  /** Sorts keys with the positions of their rows. Of equal keys the last row is kept. */
  *#gatherSorted(): Steps<void> {
    const made = yield* this.#makeEntries();
    const entries = yield* sortEntries(made, this.#rowCount);
    const end = RUN_ENTRY_WORDS * this.#rowCount;
    const lengths = new Uint32Array(AHEAD_ROWS);
    for (let at = 0; at < end; at += RUN_ENTRY_WORDS) {
      const ahead = (at / RUN_ENTRY_WORDS) % AHEAD_ROWS;
      if (ahead === 0) this.#readLengths(entries, at, end, lengths);
      if (at % STEP_WORDS === 0) yield;
      const next = at + RUN_ENTRY_WORDS;
      const isSuperseded =
        next < end && entries[next] === entries[at] && entries[next + 1] === entries[at + 1];
      if (isSuperseded) continue;
      const block = this.#blocks[entries[at + 2]!]!;
      this.#gatherRow(block, entries[at + 3]!, ROW_HEADER_BYTES + lengths[ahead]!);
    }
  }

  *#makeEntries(): Steps<Uint32Array> {
    const entries = new Uint32Array(RUN_ENTRY_WORDS * this.#rowCount);
    const place: EntryPlace = { at: 0, offset: 0 };
    const add = this.#isAligned ? addEntriesOfWords : addEntriesOfBytes;
    for (const [ordinal, block] of this.#blocks.entries()) {
      for (place.offset = 0; place.offset < block.usedBytes;) {
        add(entries, place, place.at + STEP_WORDS, ordinal, block);
        yield;
      }
    }
    return entries;
  }

  /** Reads the data lengths of the rows of up to `lengths.length` entries. */
  #readLengths(entries: Uint32Array, from: number, end: number, lengths: Uint32Array): void {
    const blocks = this.#blocks;
    const to = Math.min(end, from + RUN_ENTRY_WORDS * lengths.length);
    for (let at = from, i = 0; at < to; at += RUN_ENTRY_WORDS, i++) {
      lengths[i] = blocks[entries[at + 2]!]!.view.getUint32(entries[at + 3]! + DATA_LENGTH, true);
    }
  }

  #gatherRow(block: RowBlock, offset: number, lengthBytes: number): void {
    if (this.#isFullFor(lengthBytes)) this.#flush();
    this.#gather(block, offset, lengthBytes);
  }
}
