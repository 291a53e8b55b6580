import { types } from 'node:util';
import type { Columns } from '../format/columns.ts';

/** Buffers to be handed over with columns. What is shared is there on both sides. */
export function buffersOf(columns: readonly Columns[]): ArrayBuffer[] {
  return columns.map(({ data }) => data.buffer).filter((buffer) => types.isArrayBuffer(buffer));
}
