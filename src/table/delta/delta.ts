import { assert } from '../../base/assert.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import type { ContentSum } from '../../format/content-sum.ts';
import { blockOf, RowArena, viewOffset, type Region, type RowMemory } from './arena.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import { DeltaContent } from './delta-content.ts';
import { Extents, RowWalk } from './extents.ts';
import { HashIndex } from './hash-index.ts';
import { KeyBounds } from './key-bounds.ts';
import {
  DATA_LENGTH,
  isDeleteRow,
  KEY_HIGH,
  KEY_LOW,
  VALUE_HIGH,
  VALUE_LOW,
} from '../../format/row.ts';
import { PassedDeletes } from '../layer/passed-deletes.ts';
import { FIRST_MARK, type DeltaMark, type Publication } from './publication.ts';
import { RowReader } from './row-reader.ts';
import { SortedRunCursor } from './sorted-run-cursor.ts';
import type { SortedRun } from './sorted-run.ts';
import { SortedRuns } from './sorted-run-list.ts';
import type { TableRecord } from '../layer/table-record.ts';
import { TABLE_SIZES, type TableSizes } from '../layer/table-sizes.ts';
import {
  UNKNOWN_KEY,
  type DataLength,
  type FoundRecord,
  type KeyState,
  type OlderContent,
  type Presence,
  type UpdateLayer,
} from '../layer/update-layer.ts';
import { U64Filter, type Sought, type ValueRange } from '../layer/value-search.ts';

/**
 * Prefetch distance: number of rows whose index slots are touched before the rows are indexed,
 * bounded by the L1 miss buffers and the L1 size.
 */
const TOUCHED_ROWS = 64;
/** Rows scanned between two yields. */
const STEP_ROWS = 256;

/** The memtable: committed rows in commit order, with a hash index to the latest row per key. */
export class Delta implements UpdateLayer {
  readonly #arena: RowArena = new RowArena();
  readonly rows: RowReader = new RowReader(this.#arena);
  readonly #index: HashIndex = new HashIndex(this.#arena);
  readonly #extents: Extents = new Extents();
  readonly #runs: SortedRuns;
  readonly #content: DeltaContent = new DeltaContent(this.#arena, this.#extents);
  #publication: Publication | undefined;
  #rowCount = 0;
  #end = 0;
  /** Bytes of current rows: the last row of each key, unless it is a delete. */
  #currentBytes = 0;
  #mark: DeltaMark = FIRST_MARK;
  readonly #bounds: KeyBounds = new KeyBounds();

  /** Of reads of the table while this is its live delta. */
  readonly passed: PassedDeletes = new PassedDeletes();

  constructor(sizes: TableSizes = TABLE_SIZES) {
    this.#runs = new SortedRuns(this.#arena, this.#extents, sizes);
  }

  get mark(): DeltaMark {
    return this.#mark;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  get isPublishing(): boolean {
    return this.#publication !== undefined;
  }

  get memoryBytes(): number {
    const rowsBytes = this.#arena.memoryBytes + this.#content.memoryBytes;
    return rowsBytes + this.#index.memoryBytes + this.#runs.memoryBytes;
  }

  get highestLow(): number {
    return this.#bounds.highestLow;
  }

  get highestHigh(): number {
    return this.#bounds.highestHigh;
  }

  /** Bytes of positions in use, at most MAX_DELTA_BYTES. */
  get usedBytes(): number {
    return this.#arena.usedBytes;
  }

  get deadBytes(): number {
    return this.#end - this.#currentBytes;
  }

  get currentBytes(): number {
    return this.#currentBytes;
  }

  get shadowedRecords(): number {
    return this.#mark.coveringCount;
  }

  hasRoomFor(lengthBytes: number): boolean {
    return this.#arena.hasRoomFor(lengthBytes);
  }

  reserve(lengthBytes: number, memory?: RowMemory): Region {
    return this.#arena.reserve(lengthBytes, memory);
  }

  release(region: Region): void {
    this.#arena.release(region, 0);
  }

  /** Begins to publish the rows in the first `rowsLength` bytes of `region`. */
  beginPublish(region: Region, rowsLength: number): void {
    assert(this.#publication === undefined, 'one group is published at a time');
    assert(region.position >= this.#end, 'regions are published in the order of their reservation');
    assert(rowsLength <= region.bytes.length, 'the rows fit their region');
    this.#publication = {
      region,
      end: region.position + rowsLength,
      next: region.position,
      undoneTo: region.position,
      touchedTo: region.position,
      seen: 0,
      rowCount: 0,
      sizeChange: 0,
      currentBytesChange: 0,
      hidden: undefined,
    };
  }

  /** Indexes up to `maxRows` more rows, hidden from readers. Returns whether all are indexed. */
  stepPublish(maxRows: number, older: Presence): boolean {
    const publication = this.#publication;
    assert(publication !== undefined, 'a publication has begun');
    let rowsLeft = maxRows;
    while (publication.next < publication.end && rowsLeft > 0) {
      const rows = Math.min(rowsLeft, TOUCHED_ROWS);
      if (publication.touchedTo <= publication.next) this.#touch(publication, rows);
      this.#indexRows(publication, rows, older);
      this.#runs.work(rows);
      rowsLeft -= rows;
    }
    return publication.next >= publication.end;
  }

  /** Prefetches the index slots of the next rows. */
  #touch(publication: Publication, maxRows: number): void {
    const { views } = this.#arena;
    let position = publication.next;
    let seen = 0;
    for (let rows = 0; rows < maxRows && position < publication.end; rows++) {
      const view = views[blockOf(position)]!;
      const offset = viewOffset(position);
      const low = view.getUint32(offset + KEY_LOW, true);
      seen ^= this.#index.touch(low, view.getUint32(offset + KEY_HIGH, true));
      position += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
    }
    publication.touchedTo = position;
    publication.seen = seen;
  }

  #indexRows(publication: Publication, maxRows: number, older: Presence): void {
    const { views } = this.#arena;
    const end = Math.min(publication.end, publication.touchedTo);
    for (let rows = 0; rows < maxRows && publication.next < end; rows++) {
      const position = publication.next;
      const view = views[blockOf(position)]!;
      const offset = viewOffset(position);
      publication.sizeChange += this.#indexRow(publication, view, offset, older);
      publication.next += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
      publication.rowCount++;
    }
  }

  /** Makes the group visible. Returns the change of the number of records. */
  finishPublish(): number {
    const publication = this.#publication;
    assert(publication !== undefined, 'a publication has begun');
    assert(publication.next === publication.end, 'a group consists of whole rows');
    const { region, end } = publication;
    this.#arena.release(region, end - region.position);
    if (publication.rowCount > 0) this.#extents.append(region.position, end);
    this.#runs.publish();
    this.#rowCount += publication.rowCount;
    this.#currentBytes += publication.currentBytesChange;
    this.#end = end;
    const { replacedCount, coveringCount } = this.#content;
    this.#mark = { rowCount: this.#rowCount, end, replacedCount, coveringCount };
    this.#publication = undefined;
    return publication.sizeChange;
  }

  /**
   * Undoes a group whose rows are partly or completely indexed: each key points to its previous row
   * again. Returns false after `maxRows` rows if there are more; nothing may be indexed until then.
   */
  stepAbandon(maxRows: number): boolean {
    const publication = this.#publication;
    assert(publication !== undefined, 'a publication has begun');
    const { region, hidden } = publication;
    const { views } = this.#arena;
    let position = publication.undoneTo;
    for (let rows = 0; position < publication.next; rows++) {
      if (rows >= maxRows) {
        publication.undoneTo = position;
        return false;
      }
      const view = views[blockOf(position)]!;
      const offset = viewOffset(position);
      const low = view.getUint32(offset + KEY_LOW, true);
      const high = view.getUint32(offset + KEY_HIGH, true);
      // If the group has a key twice, the key was restored at its first row.
      if (this.#index.find(low, high) >= region.position) {
        this.#index.restore(low, high, hidden?.find(low, high) ?? -1);
      }
      position += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
    }
    this.#content.rollBack(this.#mark);
    this.#runs.abandon();
    this.#publication = undefined;
    this.#arena.release(region, 0);
    return true;
  }

  stateOf(low: number, high: number): KeyState {
    const position = this.#find(low, high);
    if (position < 0) return 'unknown';
    return this.rows.isDelete(position) ? 'deleted' : 'present';
  }

  subtractFrom(sum: ContentSum, low: number, high: number): KeyState {
    const position = this.#find(low, high);
    if (position < 0) return 'unknown';
    if (this.rows.isDelete(position)) return 'deleted';
    this.#content.subtract(sum, position);
    return 'present';
  }

  applyTo(sum: ContentSum, older: OlderContent): Generator<void, void, undefined> {
    return this.#content.applyTo(sum, this.#mark, older, (position) => this.#isLatest(position));
  }

  /** See {@link DeltaContent.sumBetween}. */
  sumBetween(
    sum: ContentSum,
    from: DeltaMark,
    to: DeltaMark,
    older: OlderContent,
  ): Generator<void, void, undefined> {
    return this.#content.sumBetween(sum, from, to, older);
  }

  lookUp(low: number, high: number): TableRecord | null | undefined {
    const position = this.#find(low, high);
    return position < 0 ? undefined : this.rows.recordAt(position);
  }

  readValue(low: number, high: number, target: Uint32Array, at: number): boolean {
    const position = this.#find(low, high);
    if (position < 0) return false;
    this.rows.readValue(position, target, at);
    return true;
  }

  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength {
    const position = this.#find(low, high);
    return position < 0 ? UNKNOWN_KEY : this.rows.readData(position, target, offset);
  }

  /**
   * Position of the latest row of this key before `mark`, or -1. If the key has later rows, it is
   * searched in the sorted runs.
   */
  positionAt(low: number, high: number, mark: DeltaMark): number {
    const position = this.#find(low, high);
    if (position < mark.end) return position;
    const seek: Seek = { low, high, direction: 'up' };
    for (const run of this.#runs.covering(mark.rowCount)) {
      const cursor = this.#cursor(run, mark, seek);
      if (!cursor.isDone && cursor.low === low && cursor.high === high) return cursor.position;
    }
    return -1;
  }

  *findValues(
    range: ValueRange,
    keys: U64Filter | undefined,
    mark: DeltaMark = this.mark,
  ): Generator<readonly FoundRecord[], void, undefined> {
    const sought: Sought = { values: new U64Filter(range), keys };
    const walk = new RowWalk(this.#arena, this.#extents, 0, mark.end);
    let found: FoundRecord[] = [];
    let rows = 0;
    for (let position = walk.next(); position >= 0; position = walk.next()) {
      const one = this.#foundAt(position, sought, mark);
      if (one !== undefined) found.push(one);
      if (++rows % STEP_ROWS !== 0) continue;
      yield found;
      found = [];
    }
    yield found;
  }

  /** The row's record, if its value is sought and it was the latest row of its key at the mark. */
  #foundAt(position: number, sought: Sought, mark: DeltaMark): FoundRecord | undefined {
    const view = this.#arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    const valueLow = view.getUint32(offset + VALUE_LOW, true);
    if (!sought.values.accepts(valueLow, view.getUint32(offset + VALUE_HIGH, true)))
      return undefined;
    const low = view.getUint32(offset + KEY_LOW, true);
    const high = view.getUint32(offset + KEY_HIGH, true);
    if (sought.keys?.accepts(low, high) === false) return undefined;
    if (this.positionAt(low, high, mark) !== position) return undefined;
    return { low, high, record: this.rows.recordAt(position)! };
  }

  cursors(seek: Seek, mark: DeltaMark = this.mark): Cursor[] {
    const runs = this.#runs.covering(mark.rowCount);
    return runs.map((run) => this.#cursor(run, mark, seek)).filter(({ isDone }) => !isDone);
  }

  #cursor(run: SortedRun, mark: DeltaMark, seek: Seek): SortedRunCursor {
    const isWhole = run.firstRow + run.rowCount <= mark.rowCount;
    return new SortedRunCursor(this.#arena, run, mark.end, isWhole, seek);
  }

  /** Sorts some rows for iterators, in bounded time. Returns false if all are sorted. */
  sortStep(): boolean {
    return this.#runs.step();
  }

  #indexRow(publication: Publication, view: DataView, offset: number, older: Presence): number {
    const low = view.getUint32(offset + KEY_LOW, true);
    const high = view.getUint32(offset + KEY_HIGH, true);
    this.#bounds.note(low, high);
    this.#runs.note(low, high, publication.next);
    const previous = this.#index.put(low, high, publication.next);
    const wasPresent = previous < 0 ? older.isPresent(low, high) : !this.rows.isDelete(previous);
    if (wasPresent && previous < 0) this.#content.noteCovering(publication.next);
    else if (wasPresent) {
      this.#content.noteReplaced(previous);
      publication.currentBytesChange -= this.rows.lengthBytes(previous);
    }
    if (previous >= 0 && previous < publication.region.position) {
      publication.hidden ??= new HashIndex(this.#arena);
      publication.hidden.put(low, high, previous);
    }
    const isDelete = isDeleteRow(view, offset);
    if (!isDelete) publication.currentBytesChange += this.rows.lengthBytes(publication.next);
    return (isDelete ? 0 : 1) - (wasPresent ? 1 : 0);
  }

  /** Position of the latest visible row of this key, or -1. */
  #find(low: number, high: number): number {
    if (!this.#bounds.mayHold(low, high)) return -1;
    const position = this.#index.find(low, high);
    if (position < this.#end || this.#publication === undefined) return position;
    return this.#publication.hidden?.find(low, high) ?? -1;
  }

  #isLatest(position: number): boolean {
    const view = this.#arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    const low = view.getUint32(offset + KEY_LOW, true);
    return this.#find(low, view.getUint32(offset + KEY_HIGH, true)) === position;
  }
}
