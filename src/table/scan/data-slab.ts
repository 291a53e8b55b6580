import type { Chunk } from '../chunk/chunk.ts';

const FIRST_SLAB_BYTES = 256;
/** What a record that is kept keeps alive, at most, unless its own data is longer. */
const LARGEST_SLAB_BYTES = 8 * 1024;

/**
 * Copies of neighbouring records' data, several at a time: one copy of a few KiB costs less than
 * one for each record. The buffers that hold them begin small, since many iterations end soon.
 */
export class DataSlab {
  #buffer: ArrayBuffer = new ArrayBuffer(0);
  #bytes: Uint8Array = new Uint8Array(this.#buffer);
  #used = 0;
  #chunk: Chunk | undefined;
  /** Bytes [from, to) of the chunk's data stand in the buffer, `shift` further on. */
  #from = 0;
  #to = 0;
  #shift = 0;

  /** The data of the record at `index`, where those up to `end` will be asked for next. */
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
