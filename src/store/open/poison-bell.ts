import type { StorePoisonedError } from '../../base/errors.ts';

/** Tells whoever listens, then or later, of the first poisoning. */
export class PoisonBell {
  #error: StorePoisonedError | undefined;
  #listener: ((error: StorePoisonedError) => void) | undefined;

  ring(error: StorePoisonedError): void {
    this.#error ??= error;
    this.#listener?.(error);
  }

  listen(listener: (error: StorePoisonedError) => void): void {
    this.#listener = listener;
    if (this.#error !== undefined) listener(this.#error);
  }
}
