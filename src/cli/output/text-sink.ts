/** Where a command's text goes. What is not flushed is not written. */
export interface TextSink {
  write(text: string): void;
  /** True when `flush` is due. */
  readonly isFull: boolean;
  flush(): Promise<void>;
}
