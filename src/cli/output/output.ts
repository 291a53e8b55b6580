import type { CliStream } from './cli-io.ts';
import { systemCode } from '../../base/errors.ts';

const BUFFER_CHARACTERS = 64 * 1024;

/** The reader has closed the output, as `head` does. */
export class OutputClosedError extends Error {
  override readonly name: string = 'OutputClosedError';
}

/** Buffered text output. Text is written by `flush` only. */
export class Output {
  readonly #stream: CliStream;
  #text = '';
  #error: unknown;

  constructor(stream: CliStream) {
    this.#stream = stream;
    // Without a listener, a stream error would end the process. `flush` reports it.
    stream.on('error', (error) => {
      this.#error ??= error;
    });
  }

  /** Whether `flush` is due. */
  get isFull(): boolean {
    return this.#text.length >= BUFFER_CHARACTERS;
  }

  write(text: string): void {
    this.#text += text;
  }

  line(text = ''): void {
    this.write(`${text}\n`);
  }

  /**
   * Resolves when the stream has taken all text. Throws OutputClosedError, or the stream's error.
   */
  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    if (this.#error === undefined && text !== '') {
      await new Promise<void>((resolve) => {
        this.#stream.write(text, (error) => {
          this.#error ??= error ?? undefined;
          resolve();
        });
      });
    }
    if (this.#error === undefined) return;
    if (systemCode(this.#error) === 'EPIPE')
      throw new OutputClosedError('the reader of stdout has ended');
    throw this.#error;
  }
}

/**
 * Prints a result of which the exit code is known. The code stays if the reader ends before it has
 * read everything.
 */
export async function keepingCode(code: number, print: () => Promise<void>): Promise<number> {
  try {
    await print();
  } catch (error) {
    if (!(error instanceof OutputClosedError)) throw error;
  }
  return code;
}
