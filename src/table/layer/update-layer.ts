import type { ContentSum } from '../../format/content-sum.ts';
import type { Cursor, Seek } from './cursor.ts';
import type { TableRecord } from './table-record.ts';
import type { U64Filter, ValueRange } from './value-search.ts';

/** The state of a key in a layer. `unknown`: the next older layer must be searched. */
export type KeyState = 'present' | 'deleted' | 'unknown';

/**
 * Bytes of a record's data. {@link NO_RECORD} if the key is deleted, {@link UNKNOWN_KEY} if the
 * layer does not have the key.
 */
export type DataLength = number;
export const NO_RECORD = -1;
export const UNKNOWN_KEY = -2;

/** An immutable layer of updates, which shadow everything older. */
export interface UpdateLayer {
  readonly memoryBytes: number;
  /** Bytes of updates without a record, which a merge frees. */
  readonly deadBytes: number;
  /** Bytes of updates with a record, including those that a newer layer replaces. */
  readonly currentBytes: number;
  /** Number of records of older layers that this layer replaces or deletes. */
  readonly shadowedRecords: number;
  /** Halves of the highest key of all updates. [0, 0] if there is none. */
  readonly highestLow: number;
  readonly highestHigh: number;
  stateOf(low: number, high: number): KeyState;
  /** Like {@link stateOf}. If the key is present, also subtracts its record from `sum`. */
  subtractFrom(sum: ContentSum, low: number, high: number): KeyState;
  /**
   * Advances `sum` from the content of `older` to the content with these updates on top. Yields
   * every few hundred records.
   */
  applyTo(sum: ContentSum, older: OlderContent): Generator<void, void, undefined>;
  /** Undefined if the layer does not have the key; null if it deletes the key. */
  lookUp(low: number, high: number): TableRecord | null | undefined;
  /**
   * Writes the value to words `at` (low half) and `at + 1` of `target`; 0 if the layer deletes the
   * key. Returns false, and writes nothing, if the layer does not have the key.
   */
  readValue(low: number, high: number, target: Uint32Array, at: number): boolean;
  /**
   * Returns the length of the data as a {@link DataLength}. Copies the data to `offset` of `target`
   * if it fits there.
   */
  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength;
  /** Cursors over all updates, newest first. */
  cursors(seek: Seek): Cursor[];
  /**
   * Yields this layer's records with a value in the range and a key that `keys` accepts. Yields
   * often, usually an empty list.
   */
  findValues(
    range: ValueRange,
    keys: U64Filter | undefined,
  ): Generator<readonly FoundRecord[], void, undefined>;
}

/** A record with its key in halves. */
export interface FoundRecord {
  readonly low: number;
  readonly high: number;
  readonly record: TableRecord;
}

/** The records below a layer, for content hashes. */
export interface OlderContent {
  /** Subtracts the record of this key from `sum`, if there is one. */
  subtractFrom(sum: ContentSum, low: number, high: number): void;
}

/** Tells whether a key is present below a layer. */
export interface Presence {
  isPresent(low: number, high: number): boolean;
}
