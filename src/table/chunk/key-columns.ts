import { assert } from '../../base/assert.ts';
import type { Columns } from '../../format/columns.ts';
import type { KeySpan } from './key-directory.ts';

/** Where the ascending keys of a chunk stand in memory. */
export interface KeyColumns extends KeySpan {
  readonly recordCount: number;
  /**
   * The buffer of all columns, and the words of it at which the halves of keys, less the first one,
   * begin.
   */
  readonly words: Uint32Array;
  readonly lowAt: number;
  /** Negative where all high halves are 0. */
  readonly highAt: number;
}

/** The buffer of all columns. */
export function wordsOf({ keyLow, valueLow, data }: Columns): Uint32Array {
  const { buffer } = data;
  assert(keyLow.buffer === buffer && valueLow.buffer === buffer, 'columns lie in one buffer');
  return new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
}

/** Where a column begins in its buffer. */
export function wordOffset(column: ArrayBufferView): number {
  return column.byteOffset >>> 2;
}
