import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel';
import { isPromise, type Awaitable } from '../../base/flow.ts';

/**
 * Messages on the tracing channels of `node:diagnostics_channel`. Members that are not `readonly`
 * are set when the operation has reached that point, at the latest at `asyncEnd`. Node adds
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
 * `lodestore:commit`: one group of batches, from the time it is taken from the queue until it is
 * durable.
 */
export interface CommitTrace extends StoreTrace {
  readonly batches: number;
  /** Number of puts and deletes written. 0 if nothing was written. */
  updates: number;
  /** Bytes of the group's write. */
  bytes: number;
  encodeMs: number;
  /** Time of the write, if it was deferred. */
  writeMs: number;
  /** Time of the durable write, if it was not deferred: write and sync are one system call. */
  syncMs: number;
  /** Time since the call of `insertBatch`, for each batch that was not refused. */
  batchMs: readonly number[];
}

/** `lodestore:rotate`: the replacement of a sealed log by the next one. */
export interface RotateTrace extends StoreTrace {
  /** Number of the sealed log. */
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
}

/** `lodestore:merge`: from reading the logs until their result is in place. */
export interface MergeTrace extends StoreTrace {
  readonly logs: number;
  readonly logBytes: number;
  /** Of the snapshot that the merge starts from. */
  readonly oldSnapshotBytes: number;
  snapshotBytes: number;
  durationMs: number;
}

/** `lodestore:backup`. Node's `result` is that of `store.backup`. */
export interface BackupTrace extends StoreTrace {
  readonly target: string;
}

type Channel<Context extends object> = TracingChannel<unknown, Context>;

export const openChannel: Channel<OpenTrace> = tracingChannel('lodestore:open');
export const commitChannel: Channel<CommitTrace> = tracingChannel('lodestore:commit');
export const rotateChannel: Channel<RotateTrace> = tracingChannel('lodestore:rotate');
export const mergeChannel: Channel<MergeTrace> = tracingChannel('lodestore:merge');
export const backupChannel: Channel<BackupTrace> = tracingChannel('lodestore:backup');

/** Whether any part of `channel` has subscribers. Node 20 has no single property for that. */
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

/** Runs `run` on the channel. Without subscribers, only calls it, without a context. */
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
 * Runs `run` on a channel with subscribers, like `TracingChannel.tracePromise`. If the result is
 * synchronous, all events are published before this returns, in the same order.
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
