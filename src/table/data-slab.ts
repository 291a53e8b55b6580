import type { Chunk } from './chunk.ts';

const FIRST_SLAB_BYTES = 256;
/** What a record that is kept keeps alive, at most, unless its own data is longer. */
const LARGEST_SLAB_BYTES = 8 * 1024;

/**
 * Copies of neighbouring records' data, several at a time: one copy of a few KiB costs less than one for each
 * record. Grows from a small first one, since many iterations end soon.
 */
export class DataSlab {
  #chunk: Chunk | undefined;
  #buffer: ArrayBuffer = new ArrayBuffer(0);
  #from = 0;
  #to = 0;
  #lengthBytes = FIRST_SLAB_BYTES;

  /** The data of the record at `index`, where those up to `end` will be asked for next. */
  dataAt(chunk: Chunk, index: number, end: number): Uint8Array {
    const start = chunk.dataStartAt(index);
    const dataEnd = chunk.dataStartAt(index + 1);
    if (chunk !== this.#chunk || start < this.#from || dataEnd > this.#to) {
      this.#fill(chunk, start, dataEnd, chunk.dataStartAt(end));
    }
    return new Uint8Array(this.#buffer, start - this.#from, dataEnd - start);
  }

  clear(): void {
    this.#chunk = undefined;
    this.#buffer = new ArrayBuffer(0);
    this.#from = 0;
    this.#to = 0;
  }

  #fill(chunk: Chunk, start: number, dataEnd: number, stretchEnd: number): void {
    this.#to = Math.max(dataEnd, Math.min(stretchEnd, start + this.#lengthBytes));
    this.#from = start;
    this.#chunk = chunk;
    this.#buffer = chunk.copyOfData(start, this.#to);
    this.#lengthBytes = Math.min(2 * this.#lengthBytes, LARGEST_SLAB_BYTES);
  }
}
