import { types } from 'node:util';
import type { Columns } from '../format/columns.ts';

/**
 * The buffers to transfer with `columns`. SharedArrayBuffers are left out: they need no transfer.
 */
export function buffersOf(columns: readonly Columns[]): ArrayBuffer[] {
  return columns.map(({ data }) => data.buffer).filter((buffer) => types.isArrayBuffer(buffer));
}
