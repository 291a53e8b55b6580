import { setImmediate } from '../../base/timers.ts';
/** Where a command's text goes. What is not flushed is not written. */
export interface TextSink {
  write(text: string): void;
  /** True when `flush` is due. */
  readonly isFull: boolean;
  flush(): Promise<void>;
}

/** A turn of the event loop, so that Ctrl-C is heard. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
