/** A smaller piece is joined with its neighbours, if they are small too. */
const SMALL_BYTES = 4 * 1024;
/** Length of the longest buffer that small pieces are copied into. */
const MOST_BUFFER_BYTES = 64 * 1024;

/**
 * The pieces of a body, in order. The client decides how long its pieces are, and each one takes
 * some hundred bytes of memory besides its content. Runs of small pieces are therefore copied into
 * buffers of 4 to 64 KiB. A large piece stays as it is. Bytes that were taken do not change later.
 */
export class JoinedPieces {
  #pieces: Uint8Array[] = [];
  /** Copies of the small pieces that follow `#pieces`. */
  #buffer: Buffer | undefined;
  #filledBytes = 0;
  /** Length of the next buffer. */
  #bufferBytes = SMALL_BYTES;

  push(piece: Uint8Array): void {
    if (piece.length >= SMALL_BYTES) {
      this.#closeBuffer();
      this.#pieces.push(piece);
      return;
    }
    if (this.#buffer === undefined) {
      const before = this.#pieces.at(-1);
      if (before === undefined || before.length >= SMALL_BYTES) {
        this.#pieces.push(piece);
        return;
      }
      this.#pieces.pop();
      this.#copy(before);
    }
    this.#copy(piece);
  }

  /** Removes and returns the first piece; undefined if there is none. */
  shift(): Uint8Array | undefined {
    if (this.#pieces.length === 0) this.#closeBuffer();
    return this.#pieces.shift();
  }

  /** Removes and returns all pieces. */
  take(): Uint8Array[] {
    this.#closeBuffer();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  #copy(piece: Uint8Array): void {
    for (let from = 0; from < piece.length;) {
      this.#buffer ??= Buffer.allocUnsafeSlow(this.#bufferBytes);
      const part = piece.subarray(from, from + this.#buffer.length - this.#filledBytes);
      this.#buffer.set(part, this.#filledBytes);
      this.#filledBytes += part.length;
      from += part.length;
      if (this.#filledBytes < this.#buffer.length) continue;
      this.#pieces.push(this.#buffer);
      this.#buffer = undefined;
      this.#filledBytes = 0;
      this.#bufferBytes = Math.min(2 * this.#bufferBytes, MOST_BUFFER_BYTES);
    }
  }

  #closeBuffer(): void {
    const buffer = this.#buffer;
    if (buffer !== undefined) {
      const filled = buffer.subarray(0, this.#filledBytes);
      // A view keeps the whole buffer in memory.
      this.#pieces.push(2 * filled.length < buffer.length ? Buffer.from(filled) : filled);
    }
    this.#buffer = undefined;
    this.#filledBytes = 0;
    this.#bufferBytes = SMALL_BYTES;
  }
}
