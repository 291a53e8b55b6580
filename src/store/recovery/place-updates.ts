import type { Columns } from '../../format/columns.ts';
import type { LazyChunk } from '../../table/chunk/lazy-chunk.ts';

/** Records to adopt: those of `updates` shadow those of `columns`. Both ascend in key. */
export interface PlacedUpdates {
  readonly columns: readonly (Columns | LazyChunk)[];
  readonly updates: readonly Columns[];
}

/**
 * Finds a place for the folded updates without touching a record. Columns that delete nothing and lie between two
 * chunks, or behind the last one as new ids do, stand beside these as one more chunk; the others lie above them.
 */
export function placeUpdates(
  chunks: readonly (Columns | LazyChunk)[],
  run: readonly Columns[],
): PlacedUpdates {
  const kept: (Columns | LazyChunk)[] = [];
  const updates: Columns[] = [];
  let next = 0;
  for (const columns of run) {
    while (next < chunks.length && chunks[next]!.lastKey < columns.firstKey) {
      kept.push(chunks[next++]!);
    }
    const meetsChunk = next < chunks.length && chunks[next]!.firstKey <= columns.lastKey;
    // Of a run with a delete in it, the least value is 0.
    const mayDelete = columns.valueBase === 0n;
    (meetsChunk || mayDelete ? updates : kept).push(columns);
  }
  return { columns: [...kept, ...chunks.slice(next)], updates };
}
