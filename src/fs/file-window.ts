import type { OpenFile } from './file-system.ts';

const WINDOW_BYTES = 1024 * 1024;

/** Reads until `target` is full or the file ends; resolves to the bytes read. */
export async function readFully(
  file: OpenFile,
  target: Uint8Array,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const count = await file.read(target.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Sequential reading through one buffer that grows to the largest range asked for. */
export class FileWindow {
  readonly #file: OpenFile;
  readonly fileBytes: number;
  #buffer: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;

  constructor(file: OpenFile, fileBytes: number) {
    this.#file = file;
    this.fileBytes = fileBytes;
  }

  /**
   * The bytes [position, position + lengthBytes) of the file, fewer at its end. The view is valid until
   * the next call. `lengthBytes` must have been checked against a bound: it is allocated.
   */
  async at(position: number, lengthBytes: number): Promise<Uint8Array> {
    const end = Math.min(position + lengthBytes, this.fileBytes);
    if (position >= end) return new Uint8Array(0);
    if (position < this.#start || end > this.#end) await this.#fill(position, end - position);
    const to = Math.min(end, this.#end);
    return this.#buffer.subarray(position - this.#start, Math.max(to - this.#start, 0));
  }

  /** All bytes from `position` that are already in the buffer, at least one unless the file ends there. */
  async some(position: number): Promise<Uint8Array> {
    await this.at(position, 1);
    if (position >= this.#end || position < this.#start) return new Uint8Array(0);
    return this.#buffer.subarray(position - this.#start, this.#end - this.#start);
  }

  async #fill(position: number, lengthBytes: number): Promise<void> {
    const wanted = Math.min(
      Math.max(lengthBytes, WINDOW_BYTES),
      Math.max(this.fileBytes - position, lengthBytes),
    );
    if (this.#buffer.length < wanted) this.#buffer = new Uint8Array(wanted);
    const count = await readFully(this.#file, this.#buffer.subarray(0, wanted), position);
    this.#start = position;
    this.#end = position + count;
  }
}
