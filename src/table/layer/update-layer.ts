import type { ContentSum } from '../../format/content-sum.ts';
import type { Cursor, Seek } from './cursor.ts';
import type { TableRecord } from './table-record.ts';
import type { U64Filter, ValueRange } from './value-search.ts';

/** What a layer says of a key; `unknown` sends the question on to the next older layer. */
export type KeyState = 'present' | 'deleted' | 'unknown';

/**
 * Bytes of a record's data; {@link NO_RECORD} where the key is deleted, {@link UNKNOWN_KEY} where
 * nothing says.
 */
export type DataLength = number;
export const NO_RECORD = -1;
export const UNKNOWN_KEY = -2;

/** Updates that shadow everything older. They no longer change. */
export interface UpdateLayer {
  readonly memoryBytes: number;
  /** Bytes of updates that hold no record: a merge frees them. */
  readonly deadBytes: number;
  /** Bytes of updates that hold a record, unless a newer layer replaces it. */
  readonly currentBytes: number;
  /** Records of older layers that this layer replaces or deletes. */
  readonly shadowedRecords: number;
  /** Highest key of all updates, as halves; [0, 0] when there is none. */
  readonly highestLow: number;
  readonly highestHigh: number;
  stateOf(low: number, high: number): KeyState;
  /** As {@link stateOf}; where the key is present, its record is subtracted from `sum`. */
  subtractFrom(sum: ContentSum, low: number, high: number): KeyState;
  /**
   * Brings `sum`, the content of `older`, to that of `older` under these updates. Yields every few
   * hundred records.
   */
  applyTo(sum: ContentSum, older: OlderContent): Generator<void, void, undefined>;
  /** Undefined when the layer says nothing of the key, null when it deletes it. */
  lookUp(low: number, high: number): TableRecord | null | undefined;
  /**
   * Writes the value alone to words `at`, low half, and `at + 1` of `target`: 0 when the layer
   * deletes the key. False, and nothing written, when it says nothing of the key.
   */
  readValue(low: number, high: number, target: Uint32Array, at: number): boolean;
  /**
   * Length of the data, which is copied to `offset` of `target` if it fits there: as {@link
   * DataLength}.
   */
  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength;
  /** Cursors over all updates, newest first. */
  cursors(seek: Seek): Cursor[];
  /**
   * This layer's records with a value in the range, and a key that `keys` accepts, some at a time.
   * Yields often, mostly none.
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

/** Records below some layer, as they are hashed. */
export interface OlderContent {
  /** Subtracts the record of this key, if there is one, from `sum`. */
  subtractFrom(sum: ContentSum, low: number, high: number): void;
}

/** Answers whether a key is present below some layer. */
export interface Presence {
  isPresent(low: number, high: number): boolean;
}
