import { compareU64 } from '../../base/u64.ts';
import type { Columns } from '../../format/columns.ts';
import { Base } from './base.ts';
import { Chunk } from '../chunk/chunk.ts';
import { LazyChunk, type ChunkSlot } from '../chunk/lazy-chunk.ts';

/** Updates looked up in about a millisecond. */
const PAUSE_UPDATES = 4_096;
/** Chunks made in about a millisecond. */
const PAUSE_CHUNKS = 1_024;

/**
 * Number of records that `updates` leave of `snapshot`, both ascending in key. Looks up every update: gives way
 * after each millisecond or so.
 */
export async function countRecords(
  snapshot: readonly (Columns | LazyChunk)[],
  updates: readonly Columns[],
  pause: () => Promise<void>,
): Promise<number> {
  let count = snapshot.reduce((sum, columns) => sum + columns.recordCount, 0);
  if (updates.length === 0) return count;
  const slots: ChunkSlot[] = [];
  for (const slot of snapshot) {
    slots.push(slot instanceof LazyChunk ? slot : new Chunk(slot));
    if (slots.length % PAUSE_CHUNKS === 0) await pause();
  }
  const base = Base.of(slots);
  const keys = new AscendingKeys(base);
  let sincePause = 0;
  for (const columns of updates) {
    count += changeBy(new Chunk(columns), keys);
    sincePause += columns.recordCount;
    if (sincePause < PAUSE_UPDATES) continue;
    sincePause = 0;
    await pause();
  }
  return count;
}

function changeBy(updates: Chunk, keys: AscendingKeys): number {
  let change = 0;
  for (let i = 0; i < updates.recordCount; i++) {
    const wasPresent = keys.has(updates.keyLowAt(i), updates.keyHighAt(i));
    change += (updates.isDeleteAt(i) ? 0 : 1) - (wasPresent ? 1 : 0);
  }
  return change;
}

/** Looks keys up that ascend: each is likely to lie close behind the one before it. */
class AscendingKeys {
  readonly #base: Base;
  #chunk: Chunk | undefined;
  #index = 0;

  constructor(base: Base) {
    this.#base = base;
  }

  has(low: number, high: number): boolean {
    let chunk = this.#chunk;
    if (chunk === undefined || compareU64(chunk.lastLow, chunk.lastHigh, low, high) < 0) {
      this.#chunk = chunk = this.#base.chunkOf(low, high);
      this.#index = 0;
      if (chunk === undefined) return false;
    }
    const index = chunk.lowerBoundFrom(this.#index, low, high);
    this.#index = index;
    return (
      index < chunk.recordCount && chunk.keyLowAt(index) === low && chunk.keyHighAt(index) === high
    );
  }
}
