/** An invalid command line or input. Nothing was done. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

/**
 * Ctrl-C interrupted a command that changes something. The message describes the resulting state.
 */
export class InterruptedError extends Error {
  override readonly name: string = 'InterruptedError';
}

/**
 * Runs the part of a command that changes something. If Ctrl-C ends it, the error tells `standing`:
 * the resulting state, as a clause.
 */
export async function tellingIfInterrupted<T>(
  { signal }: { readonly signal: AbortSignal },
  standing: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new InterruptedError(`interrupted; ${standing}`, { cause: error });
  }
}
