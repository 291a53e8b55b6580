import type { Chunk } from '../chunk/chunk.ts';

const FIRST_SLAB_BYTES = 256;
/** Upper bound of the memory that a retained record keeps alive, unless its own data is longer. */
const LARGEST_SLAB_BYTES = 8 * 1024;

/**
 * Copies the data of consecutive records several at a time, because one copy of a few KiB costs
 * less than one per record. Buffers start small, because many iterations end early.
 */
export class DataSlab {
  #buffer: ArrayBuffer = new ArrayBuffer(0);
  #bytes: Uint8Array = new Uint8Array(this.#buffer);
  #used = 0;
  #chunk: Chunk | undefined;
  /** Bytes [from, to) of the chunk's data are in the buffer, at their offset plus `shift`. */
  #from = 0;
  #to = 0;
  #shift = 0;

  /** The data of the record at `index`. The records up to `end` are expected to be read next. */
  dataAt(chunk: Chunk, index: number, end: number): Uint8Array {
    const start = chunk.dataStartAt(index);
    const dataEnd = chunk.dataStartAt(index + 1);
    if (chunk !== this.#chunk || start < this.#from || dataEnd > this.#to) {
      this.#fill(chunk, start, dataEnd, chunk.dataStartAt(end));
    }
    return new Uint8Array(this.#buffer, start + this.#shift, dataEnd - start);
  }

  clear(): void {
    this.#chunk = undefined;
    this.#replaceBuffer(0);
  }

  #fill(chunk: Chunk, start: number, dataEnd: number, stretchEnd: number): void {
    const neededBytes = dataEnd - start;
    if (this.#used + neededBytes > this.#buffer.byteLength) {
      const doubled = Math.max(2 * this.#buffer.byteLength, FIRST_SLAB_BYTES);
      this.#replaceBuffer(Math.max(neededBytes, Math.min(doubled, LARGEST_SLAB_BYTES)));
    }
    const room = this.#buffer.byteLength - this.#used;
    this.#chunk = chunk;
    this.#from = start;
    this.#to = Math.max(dataEnd, Math.min(stretchEnd, start + room));
    this.#shift = this.#used - start;
    chunk.copyData(this.#bytes, this.#used, start, this.#to);
    this.#used += this.#to - start;
  }

  #replaceBuffer(lengthBytes: number): void {
    this.#buffer = new ArrayBuffer(lengthBytes);
    this.#bytes = new Uint8Array(this.#buffer);
    this.#used = 0;
  }
}
