import { assert } from '../../base/assert.ts';
import type { Columns } from '../../format/columns.ts';
import type { KeySpan } from './key-directory.ts';

/** Location of the ascending keys of a chunk in memory. */
export interface KeyColumns extends KeySpan {
  readonly recordCount: number;
  /**
   * The buffer of all columns. `lowAt` and `highAt` are the word offsets of the key halves, which
   * are relative to the first key.
   */
  readonly words: Uint32Array;
  readonly lowAt: number;
  /** Negative if all high halves are 0. */
  readonly highAt: number;
}

/** The buffer of all columns, in words. */
export function wordsOf({ keyLow, valueLow, data }: Columns): Uint32Array {
  const { buffer } = data;
  assert(keyLow.buffer === buffer && valueLow.buffer === buffer, 'columns lie in one buffer');
  return new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
}

/** Word offset of a column in its buffer. */
export function wordOffset(column: ArrayBufferView): number {
  return column.byteOffset >>> 2;
}
