import { isZero } from '../base/bytes.ts';
import { begin, waited, type Flow } from '../base/flow.ts';
import type { EitherFile, OpenFile } from './file-system.ts';

const WINDOW_BYTES = 1024 * 1024;

/** Reads until `target` is full or the file ends; resolves to the bytes read. */
export async function readFully(
  file: OpenFile,
  target: Uint8Array,
  position: number,
): Promise<number> {
  return begin(reading(file, target, position));
}

/** As {@link readFully}, for a file with async or blocking calls. */
export function* reading(
  file: Pick<EitherFile, 'read'>,
  target: Uint8Array,
  position: number,
): Flow<number> {
  let done = 0;
  while (done < target.length) {
    const count = yield* waited(file.read(target.subarray(done), position + done));
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** As {@link readFully}, with blocking calls. The file must have `readSync`. */
export function readFullySync(file: OpenFile, target: Uint8Array, position: number): number {
  let done = 0;
  while (done < target.length) {
    const count = file.readSync!(target.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/**
 * The buffer of a released window. Allocating fresh memory costs more than reading into it. The
 * reference is weak, since there may be no next window.
 */
let spare: WeakRef<Uint8Array> | undefined;

function takeBuffer(lengthBytes: number): Uint8Array {
  const kept = spare?.deref();
  if (kept === undefined || kept.length < lengthBytes) return new Uint8Array(lengthBytes);
  spare = undefined;
  return kept;
}

/** Sequential reading through one buffer that grows to the largest range asked for. */
export class FileWindow {
  readonly #file: OpenFile;
  readonly fileBytes: number;
  readonly #mayBlock: boolean;
  #buffer: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /**
   * With `mayBlock`, the window uses blocking reads where the file has them: they finish sooner.
   */
  constructor(file: OpenFile, fileBytes: number, mayBlock = false) {
    this.#file = file;
    this.fileBytes = fileBytes;
    this.#mayBlock = mayBlock && file.readSync !== undefined;
  }

  /**
   * The bytes [position, position + lengthBytes) of the file; fewer at its end. The view is valid
   * until the next call. The caller must have checked `lengthBytes` against a bound, because a
   * buffer of that size is allocated.
   */
  async at(position: number, lengthBytes: number): Promise<Uint8Array> {
    const end = Math.min(position + lengthBytes, this.fileBytes);
    if (position >= end) return new Uint8Array(0);
    if (position < this.#start || end > this.#end) await this.#fill(position, end - position);
    const to = Math.min(end, this.#end);
    return this.#buffer.subarray(position - this.#start, Math.max(to - this.#start, 0));
  }

  /**
   * All bytes from `position` on that are already in the buffer. At least one byte, unless the file
   * ends at `position`.
   */
  async some(position: number): Promise<Uint8Array> {
    await this.at(position, 1);
    if (position >= this.#end || position < this.#start) return new Uint8Array(0);
    return this.#buffer.subarray(position - this.#start, this.#end - this.#start);
  }

  /** Leaves the buffer to the next window. No view of it may be in use any more. */
  release(): void {
    if (this.#buffer.length === WINDOW_BYTES) spare = new WeakRef(this.#buffer);
    this.#buffer = new Uint8Array(0);
    this.#start = this.#end = 0;
  }

  async #fill(position: number, lengthBytes: number): Promise<void> {
    const wanted = Math.min(
      Math.max(lengthBytes, WINDOW_BYTES),
      Math.max(this.fileBytes - position, lengthBytes),
    );
    // If the read fails, the buffer may hold a part of it.
    this.#start = this.#end = 0;
    if (this.#buffer.length < wanted) this.#buffer = takeBuffer(wanted);
    const target = this.#buffer.subarray(0, wanted);
    const count = this.#mayBlock
      ? readFullySync(this.#file, target, position)
      : await readFully(this.#file, target, position);
    this.#start = position;
    this.#end = position + count;
  }
}

/** True if the file has only zeros from `offset` to its end. */
export async function isZeroToEnd(window: FileWindow, offset: number): Promise<boolean> {
  for (let position = offset; ;) {
    const bytes = await window.some(position);
    if (bytes.length === 0) return true;
    if (!isZero(bytes)) return false;
    position += bytes.length;
  }
}
