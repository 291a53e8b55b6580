/** Stores of this process that are open, on whatever file system. */
let count = 0;

/** Counts a store that has been opened. What is returned is called when it is closed. */
export function countOpenStore(): () => void {
  count++;
  let leave = (): void => void count--;
  return () => {
    leave();
    leave = () => undefined;
  };
}

/** Whether the event loop has a store to serve: it is then not held up by opening another one. */
export function hasOpenStore(): boolean {
  return count > 0;
}
