import { MAX_BATCH_BYTES } from '../../base/limits.ts';
import { InputError } from './input-error.ts';

/** Length of a record with the largest data, in hexadecimal, with a margin. */
const MAX_LINE_BYTES: number = 2 * MAX_BATCH_BYTES + 4096;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = '\uFEFF';

/** A line without its terminator, and its number from 1. */
export interface InputLine {
  readonly number: number;
  readonly text: string;
}

/**
 * Splits a stream of bytes into lines of UTF-8. It needs memory for one piece of the stream and one
 * line.
 *
 * @throws InputError for a line that is too long for a record, or is not UTF-8
 */
export class LineCutter {
  readonly #decoder: InstanceType<typeof TextDecoder> = new TextDecoder('utf-8', {
    fatal: true,
    ignoreBOM: true,
  });
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #number = 0;

  /** Yields the lines that end in `piece`. The rest is kept for the next piece. */
  *push(piece: Uint8Array): Generator<InputLine, void, void> {
    let from = 0;
    for (let end = piece.indexOf(LINE_FEED); end >= 0; end = piece.indexOf(LINE_FEED, from)) {
      const line = piece.subarray(from, end);
      from = end + 1;
      yield this.#lineOf(this.#waiting.length === 0 ? line : this.#withWaiting(line));
    }
    if (from < piece.length) this.#wait(new Uint8Array(piece.subarray(from)));
  }

  /** Yields the last line if no line feed terminates it. */
  *finish(): Generator<InputLine, void, void> {
    if (this.#waitingBytes > 0) yield this.#lineOf(this.#withWaiting(new Uint8Array(0)));
  }

  #wait(rest: Uint8Array): void {
    this.#waiting.push(rest);
    this.#waitingBytes += rest.length;
    if (this.#waitingBytes <= MAX_LINE_BYTES) return;
    throw new InputError(
      this.#number + 1,
      `it is longer than ${MAX_LINE_BYTES} bytes, the limit of a line`,
    );
  }

  #withWaiting(end: Uint8Array): Uint8Array {
    const line = Buffer.concat([...this.#waiting, end]);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return line;
  }

  #lineOf(bytes: Uint8Array): InputLine {
    this.#number++;
    const hasReturn = bytes.at(-1) === CARRIAGE_RETURN;
    const text = this.#decode(hasReturn ? bytes.subarray(0, -1) : bytes);
    const isMarked = this.#number === 1 && text.startsWith(BYTE_ORDER_MARK);
    return { number: this.#number, text: isMarked ? text.slice(1) : text };
  }

  #decode(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes);
    } catch {
      throw new InputError(this.#number, 'it is not UTF-8');
    }
  }
}
