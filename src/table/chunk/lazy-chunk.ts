import { splitU64, u64Halves } from '../../base/u64.ts';
import type { Columns } from '../../format/columns.ts';
import { Chunk } from './chunk.ts';
import type { KeySpan } from './key-directory.ts';

/** What is known of a chunk before it is loaded. */
export interface ChunkPromise {
  readonly recordCount: number;
  readonly firstKey: bigint;
  readonly lastKey: bigint;
}

/**
 * A chunk that may still be only on disk. All bases share one object for it, so it is loaded once.
 */
export class LazyChunk implements KeySpan, ChunkPromise {
  readonly recordCount: number;
  readonly firstKey: bigint;
  readonly lastKey: bigint;
  readonly firstLow: number;
  readonly firstHigh: number;
  readonly lastLow: number;
  readonly lastHigh: number;
  readonly #read: () => Columns;
  #chunk: Chunk | undefined;

  /** `read` throws if the chunk cannot be read. It is called again at the next use. */
  constructor({ recordCount, firstKey, lastKey }: ChunkPromise, read: () => Columns) {
    this.recordCount = recordCount;
    this.firstKey = firstKey;
    this.lastKey = lastKey;
    splitU64(firstKey, 'firstKey');
    this.firstLow = u64Halves[0]!;
    this.firstHigh = u64Halves[1]!;
    splitU64(lastKey, 'lastKey');
    this.lastLow = u64Halves[0]!;
    this.lastHigh = u64Halves[1]!;
    this.#read = read;
  }

  /** The chunk, if it is in memory. */
  get loaded(): Chunk | undefined {
    return this.#chunk;
  }

  /** The chunk. Loads it if it is not in memory. */
  get chunk(): Chunk {
    return (this.#chunk ??= new Chunk(this.#read(), 'adopted'));
  }

  /** Takes columns that were loaded elsewhere. */
  adopt(columns: Columns): void {
    this.#chunk ??= new Chunk(columns, 'adopted');
  }
}

/** A chunk of a base. */
export type ChunkSlot = Chunk | LazyChunk;
