/** What a running job is given beside its file system. */
export interface JobContext<Message = never> {
  readonly signal: AbortSignal;
  /** Gives way to other work of the thread, where there is any. */
  readonly pause?: (() => Promise<void>) | undefined;
  /** The thread has nothing else to do: short jobs may wait in their reads. */
  readonly mayBlock?: boolean | undefined;
  /** Bytes of the job's input read so far. */
  readonly onProgress: (bytesRead: number) => void;
  /** Hands over a part of the result; buffers in `transfer` belong to the receiver afterwards. */
  readonly send: (message: Message, transfer: ArrayBuffer[]) => void;
}

/** Damage that a job met. It is data, not an exception: what it means is the caller's to decide. */
export interface JobDamage {
  readonly kind: 'corrupt';
  readonly path: string;
  readonly offset: number;
  readonly reason: string;
}
