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
