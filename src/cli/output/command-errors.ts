/** A command line, or an input, that asks for what cannot be done. Nothing has been done. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

/** Ctrl-C came while a command was changing something: the message says what is there now. */
export class InterruptedError extends Error {
  override readonly name: string = 'InterruptedError';
}
