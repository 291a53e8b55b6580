/** The context of a running job. */
export interface JobContext<Message = never> {
  readonly signal: AbortSignal;
  /**
   * Yields to other work of the thread, if there may be any and the slice of this work is over. To
   * be called often: it looks at a clock.
   */
  readonly pause?: (() => Promise<void> | undefined) | undefined;
  /** The thread has nothing else to do, so short jobs may use blocking reads. */
  readonly mayBlock?: boolean | undefined;
  /** Bytes of the job's input read so far. */
  readonly onProgress: (bytesRead: number) => void;
  /**
   * Sends a part of the result. The buffers in `transfer` are detached and belong to the receiver.
   */
  readonly send: (message: Message, transfer: ArrayBuffer[]) => void;
}

/** The same context. Its pauses throw the signal's reason once the job is aborted. */
export function withAbortingPauses<Message>(context: JobContext<Message>): JobContext<Message> {
  const pause = (): Promise<void> | undefined => {
    context.signal.throwIfAborted();
    return context.pause?.();
  };
  return { ...context, pause };
}

/** Damage that a job found. It is a result, not an exception: the caller decides what it means. */
export interface JobDamage {
  readonly kind: 'corrupt';
  readonly path: string;
  readonly offset: number;
  readonly reason: string;
}
