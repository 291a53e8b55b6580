import type { Columns } from '../../format/columns.ts';
import { Chunk } from '../../table/chunk/chunk.ts';
import type { LazyChunk } from '../../table/chunk/lazy-chunk.ts';

/**
 * Ordinals of the chunks whose range holds a key of `updates`, ascending. Both ascend in key. Looks at every update: gives
 * way after each chunk of them.
 */
export async function touchedChunks(
  chunks: readonly LazyChunk[],
  updates: readonly Columns[],
  pause: () => Promise<void>,
): Promise<readonly number[]> {
  const touched: number[] = [];
  let next = 0;
  for (const columns of updates) {
    const update = new Chunk(columns);
    for (let i = 0; i < update.recordCount && next < chunks.length; i++) {
      const low = update.keyLowAt(i);
      const high = update.keyHighAt(i);
      while (next < chunks.length && isBehind(chunks[next]!, low, high)) next++;
      const chunk = chunks[next];
      if (chunk === undefined) break;
      const isInside =
        chunk.firstHigh < high || (chunk.firstHigh === high && chunk.firstLow <= low);
      if (isInside && touched.at(-1) !== next) touched.push(next);
    }
    await pause();
  }
  return touched;
}

/** Whether the key lies behind the chunk. */
function isBehind(chunk: LazyChunk, low: number, high: number): boolean {
  return chunk.lastHigh < high || (chunk.lastHigh === high && chunk.lastLow < low);
}
