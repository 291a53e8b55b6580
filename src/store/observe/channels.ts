import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel';
import { isPromise, type Awaitable } from '../../base/flow.ts';

/**
 * What is published on the tracing channels of `node:diagnostics_channel`. The members that are not
 * `readonly` are there once the operation has come so far, at `asyncEnd` for certain. Node adds
 * `result` or `error`.
 */
export interface OpenTrace {
  readonly directory: string;
  readonly readOnly: boolean;
}

interface StoreTrace {
  /** The `MetadataStore`. */
  readonly store: object;
  readonly directory: string;
}

/**
 * `lodestore:commit`: one group of batches, from the moment it is taken from the queue until it is
 * durable.
 */
export interface CommitTrace extends StoreTrace {
  readonly batches: number;
  /** Puts and deletes that were written; 0 where nothing was. */
  updates: number;
  /** Bytes of the group's write. */
  bytes: number;
  encodeMs: number;
  /** The write, if it was deferred. */
  writeMs: number;
  /** The durable write, if it was not: the bytes and their sync are one system call. */
  syncMs: number;
  /** From the call of `insertBatch` on, for each batch that was not refused. */
  batchMs: readonly number[];
}

/** `lodestore:rotate`: a sealed log gives way to the next one. */
export interface RotateTrace extends StoreTrace {
  /** Of the log that was sealed. */
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
}

/**
 * `lodestore:merge`: from reading the logs until what they were merged into has taken their place.
 */
export interface MergeTrace extends StoreTrace {
  readonly logs: number;
  readonly logBytes: number;
  /** Of the snapshot that the merge starts from. */
  readonly oldSnapshotBytes: number;
  snapshotBytes: number;
  durationMs: number;
}

/** `lodestore:backup`. Node's `result` is what `store.backup` resolves with. */
export interface BackupTrace extends StoreTrace {
  readonly target: string;
}

type Channel<Context extends object> = TracingChannel<unknown, Context>;

export const openChannel: Channel<OpenTrace> = tracingChannel('lodestore:open');
export const commitChannel: Channel<CommitTrace> = tracingChannel('lodestore:commit');
export const rotateChannel: Channel<RotateTrace> = tracingChannel('lodestore:rotate');
export const mergeChannel: Channel<MergeTrace> = tracingChannel('lodestore:merge');
export const backupChannel: Channel<BackupTrace> = tracingChannel('lodestore:backup');

/**
 * Whether anybody listens to any part of `channel`: Node 20 does not tell for all of them at once.
 */
export function isTraced<Context extends object>(channel: Channel<Context>): boolean {
  const { start, end, asyncStart, asyncEnd, error } = channel;
  return (
    start.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers
  );
}

/** Runs `run` on the channel; only calls it, without a context, while nobody listens. */
export function traced<Context extends object, Result>(
  channel: Channel<Context>,
  makeContext: () => Context,
  run: (context: Context | undefined) => Promise<Result>,
): Promise<Result> {
  if (!isTraced(channel)) return run(undefined);
  const context = makeContext();
  return channel.tracePromise(() => run(context), context);
}

/**
 * Runs `run` on a channel that somebody listens to, as `TracingChannel.tracePromise` does. Where
 * the result is there at once, all events come before this returns, in the same order.
 */
export function tracedEither<Context extends object, Result>(
  channel: Channel<Context>,
  context: Context,
  run: () => Awaitable<Result>,
): Awaitable<Result> {
  const { start, end, asyncStart, asyncEnd, error } = channel;
  const tellEnd = (outcome: { readonly result: Result } | { readonly error: unknown }): void => {
    Object.assign(context, outcome);
    if ('error' in outcome) error.publish(context);
    asyncStart.publish(context);
    asyncEnd.publish(context);
  };
  const fail = (reason: unknown): never => {
    tellEnd({ error: reason });
    throw reason;
  };
  return start.runStores(context, () => {
    let result: Awaitable<Result>;
    try {
      result = run();
    } catch (reason) {
      end.publish(context);
      return fail(reason);
    }
    end.publish(context);
    if (isPromise(result)) {
      return result.then((value) => {
        tellEnd({ result: value });
        return value;
      }, fail);
    }
    tellEnd({ result });
    return result;
  });
}
