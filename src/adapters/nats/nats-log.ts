import type { StreamInfo } from '@nats-io/jetstream';
import { onAbort } from '../../base/abort.ts';
import { equalBytes } from '../../base/bytes.ts';
import { PositionExpiredError, StoreClosedError } from '../../base/errors.ts';
import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import type {
  LogBounds,
  LogEntry,
  SharedLog,
  SharedLogOptions,
} from '../../replicated/log/shared-log.ts';
import { checkEntry, checkPosition } from '../checks.ts';
import type { EngineFinding, OpenLogOptions } from '../engine.ts';
import { pulse } from '../pulse.ts';
import { LOG_STREAM, MAX_ENTRY_BYTES, replicaFinding } from './nats-examination.ts';
import { WrongSequenceError, type NatsConnection } from './nats-connection.ts';

/** Number of requests for an end that is lower than the caller's: it may be stale. */
const END_ATTEMPTS = 5;
const END_PAUSE_MS = 100;

/** A stream: entry p is its message p. */
export class NatsLog implements SharedLog {
  readonly maxEntryBytes: number = MAX_ENTRY_BYTES;
  readonly #connection: NatsConnection;
  readonly #stream: string;
  readonly #subject: string;
  readonly #closed = new AbortController();

  private constructor(connection: NatsConnection, stream: string, subject: string) {
    this.#connection = connection;
    this.#stream = stream;
    this.#subject = subject;
  }

  /**
   * @throws UnfitEngineError if the log's stream exists and would lose entries; StoreError
   *   `LODESTORE_NOT_FOUND` if it does not exist and must not be created
   */
  static async open(
    connection: NatsConnection,
    name: string,
    { create }: OpenLogOptions,
  ): Promise<NatsLog> {
    const { prefix } = connection.options;
    const stream = `${prefix}-log-${name}`;
    const subject = `${prefix}.log.${name}`;
    await connection.ensureStream({ ...LOG_STREAM, name: stream, subjects: [subject] }, create);
    return new NatsLog(connection, stream, subject);
  }

  /** Checks the stream of a log; nothing if there is none. */
  static async examine(connection: NatsConnection, name: string): Promise<EngineFinding[]> {
    const config = await connection.findStream(`${connection.options.prefix}-log-${name}`);
    return config === undefined ? [] : [replicaFinding(config)];
  }

  async append(
    position: bigint,
    entry: Uint8Array,
    { signal }: SharedLogOptions = {},
  ): Promise<'appended' | 'occupied'> {
    this.#checkOpen();
    if (checkPosition(position, 'position') === 0n)
      throw new RangeError('position must be at least 1');
    checkEntry(entry, MAX_ENTRY_BYTES);
    const expect = { lastSequence: Number(position) - 1 };
    for (let attempt = 1; ; attempt++) {
      try {
        const at = await this.#connection.publish(this.#subject, entry, expect, signal);
        if (BigInt(at) === position) return 'appended';
        throw new LogUnavailableError(`the stream acknowledged position ${at}, not ${position}`);
      } catch (error) {
        if (!(error instanceof WrongSequenceError)) throw error;
        if (error.last >= position) return await this.#judge(position, entry, signal);
        if (attempt >= END_ATTEMPTS) return 'occupied';
        await pulse(END_PAUSE_MS, signal ?? this.#closed.signal);
      }
    }
  }

  async *read(from: bigint, { signal }: SharedLogOptions = {}): AsyncGenerator<LogEntry> {
    this.#checkOpen();
    let next = checkPosition(from, 'from') === 0n ? 1n : from;
    signal?.throwIfAborted();
    const { first, last } = await this.bounds({ signal });
    if (next < first) throw expired(next, { first, last });
    const consumer = await this.#connection.call(
      (_, messages) =>
        messages.consumers.get(this.#stream, {
          deliver_policy: 'by_start_sequence',
          opt_start_seq: Number(next),
        }),
      signal,
    );
    const { timeoutMs } = this.#connection.options;
    const messages = await this.#connection.call(
      () => consumer.consume({ max_bytes: 4 * MAX_ENTRY_BYTES, idle_heartbeat: timeoutMs }),
      signal,
    );
    const stop = (): void => messages.stop();
    const ends = [this.#closed.signal, this.#connection.ended, signal];
    const removals = ends.map((one) => one && onAbort(one, stop));
    if (ends.some((one) => one?.aborted)) stop();
    try {
      for await (const message of messages) {
        const position = BigInt(message.seq);
        if (position > next) throw await this.#skipped(next);
        if (position === next) yield { position: next++, entry: message.data.slice() };
      }
    } catch (error) {
      if (error instanceof PositionExpiredError) throw error;
      throw this.#connection.asFailure(error, signal);
    } finally {
      for (const remove of removals) remove?.();
      stop();
    }
    if (signal?.aborted === true) throw signal.reason;
    this.#checkOpen();
    throw this.#connection.asFailure(new Error('the reader ended'), signal);
  }

  async bounds({ signal }: SharedLogOptions = {}): Promise<LogBounds> {
    this.#checkOpen();
    const { state } = await this.#info(signal);
    return { first: BigInt(Math.max(1, state.first_seq)), last: BigInt(state.last_seq) };
  }

  async trim(upTo: bigint, { signal }: SharedLogOptions = {}): Promise<void> {
    this.#checkOpen();
    checkPosition(upTo, 'upTo');
    const { first, last } = await this.bounds({ signal });
    const end = upTo < last ? upTo : last - 1n;
    if (end < first) return;
    // Removes the messages below `seq`.
    const range = { seq: Number(end + 1n) };
    await this.#connection.call(({ streams }) => streams.purge(this.#stream, range), signal);
  }

  close(): Promise<void> {
    this.#closed.abort();
    return Promise.resolve();
  }

  /** Another entry is at the position, or it is ours and its acknowledgement was lost. */
  async #judge(
    position: bigint,
    entry: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<'appended' | 'occupied'> {
    const query = { seq: Number(position) };
    const found = await this.#connection.call(
      ({ streams }) => streams.getMessage(this.#stream, query),
      signal,
    );
    if (found !== null) return equalBytes(found.data, entry) ? 'appended' : 'occupied';
    if (position < (await this.bounds({ signal })).first) return 'occupied';
    throw new LogUnavailableError(`the entry at position ${position} is not decided yet`);
  }

  async #skipped(next: bigint): Promise<Error> {
    const bounds = await this.bounds();
    if (next < bounds.first) return expired(next, bounds);
    return new LogUnavailableError(`the reader was not given position ${next}`);
  }

  #info(signal: AbortSignal | undefined): Promise<StreamInfo> {
    return this.#connection.call(({ streams }) => streams.info(this.#stream), signal);
  }

  #checkOpen(): void {
    if (this.#closed.signal.aborted) throw new StoreClosedError('the log is closed');
  }
}

function expired(position: bigint, { first, last }: LogBounds): PositionExpiredError {
  return new PositionExpiredError(
    `position ${position} of the log has been trimmed: it begins at ${first}`,
    { position, oldestPosition: first, lastPosition: last },
  );
}
