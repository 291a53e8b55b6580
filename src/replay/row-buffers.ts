import { BLOCK_BYTES } from '../table/delta/arena.ts';
import { blocksOf } from '../table/replayed/row-blocks.ts';

export const LARGEST_BUFFER_BYTES: number = 4 * BLOCK_BYTES;

/** A buffer that is being filled with rows. */
export interface RowBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Position of its first byte. */
  readonly position: number;
  usedBytes: number;
}

/** Shared memory to which rows are appended. */
export class RowBuffers {
  #buffers: RowBuffer[] = [];
  /** Empty buffers, for reuse. */
  readonly #free: SharedArrayBuffer[] = [];
  #nextBytes: number;
  #blocks = 0;

  /** `expectedBytes`: estimate of the bytes of rows. More may be added. */
  constructor(expectedBytes: number) {
    this.#nextBytes = Math.min(expectedBytes, LARGEST_BUFFER_BYTES);
  }

  get all(): readonly RowBuffer[] {
    return this.#buffers;
  }

  /** Number of blocks of positions in use. */
  get blocks(): number {
    return this.#blocks;
  }

  /** Returns a buffer with space for `lengthBytes` more. */
  roomFor(lengthBytes: number): RowBuffer {
    const last = this.#buffers.at(-1);
    if (last !== undefined && last.usedBytes + lengthBytes <= last.bytes.length) return last;
    return this.#add(this.#takeFree(lengthBytes) ?? this.#make(lengthBytes));
  }

  #add(buffer: SharedArrayBuffer): RowBuffer {
    const position = this.#blocks * BLOCK_BYTES;
    const bytes = new Uint8Array(buffer);
    const added = { bytes, view: new DataView(buffer), position, usedBytes: 0 };
    this.#buffers.push(added);
    this.#blocks += blocksOf(buffer);
    return added;
  }

  #takeFree(leastBytes: number): SharedArrayBuffer | undefined {
    const index = this.#free.findIndex(({ byteLength }) => byteLength >= leastBytes);
    return index < 0 ? undefined : this.#free.splice(index, 1)[0];
  }

  #make(leastBytes: number): SharedArrayBuffer {
    const lengthBytes = Math.max(this.#nextBytes, leastBytes);
    this.#nextBytes = Math.min(4 * this.#nextBytes, LARGEST_BUFFER_BYTES);
    return new SharedArrayBuffer(lengthBytes);
  }

  /** Keeps the content of the first `count` buffers, and the others for reuse. */
  keep(count: number): void {
    for (const { bytes } of this.#buffers.splice(count)) {
      this.#free.push(bytes.buffer as SharedArrayBuffer);
    }
    this.#blocks = this.#buffers.reduce((sum, { bytes }) => sum + blocksOf(bytes.buffer), 0);
  }

  /** Returns all filled buffers and starts again without any. */
  take(): SharedArrayBuffer[] {
    const taken = this.#buffers.map(({ bytes }) => bytes.buffer as SharedArrayBuffer);
    this.#buffers = [];
    this.#blocks = 0;
    return taken;
  }
}
