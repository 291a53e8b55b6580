import { onAbort } from '../../base/abort.ts';

/** Runs works one at a time, in the order of the calls. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /**
   * Settles as `work`, which begins when all works before it are over. If `signal` is aborted
   * first, the call rejects with its reason, and the work does not begin.
   */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      let stopListening = (): void => undefined;
      const begin = async (): Promise<void> => {
        stopListening();
        try {
          signal?.throwIfAborted();
          resolve(await work());
        } catch (error) {
          reject(error);
        }
      };
      this.#last = this.#last.then(begin);
      if (signal === undefined) return;
      const leave = (): void => {
        stopListening();
        reject(signal.reason as Error);
      };
      stopListening = onAbort(signal, leave);
      if (signal.aborted) leave();
    });
  }
}
