/** A destination of text. Text is written by `flush` only. */
export interface TextSink {
  write(text: string): void;
  /** Whether `flush` is due. */
  readonly isFull: boolean;
  flush(): Promise<void>;
}
