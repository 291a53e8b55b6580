/** Number of open stores in this process, on any file system. */
let count = 0;

/** Counts a store that was opened. Call the returned function when it is closed. */
export function countOpenStore(): () => void {
  count++;
  let leave = (): void => void count--;
  return () => {
    leave();
    leave = () => undefined;
  };
}

/**
 * Whether the event loop serves an open store. Later opens then run on worker threads and do not
 * block the event loop.
 */
export function hasOpenStore(): boolean {
  return count > 0;
}
