export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

/** A promise, and the function that resolves it. */
export function deferred<T>(): Deferred<T> {
  let resolvePromise: ((value: T) => void) | undefined;
  const promise = new Promise<T>((resolve) => (resolvePromise = resolve));
  return { promise, resolve: (value) => resolvePromise?.(value) };
}
