import {
  jetstream,
  JetStreamApiError,
  jetstreamManager,
  type JetStreamClient,
  type JetStreamManager,
  type StreamConfig,
} from '@nats-io/jetstream';
import { connect, type NatsConnection as Client } from '@nats-io/transport-node';
import { StoreClosedError, StoreError } from '../../base/errors.ts';
import { LogUnavailableError, UnfitEngineError } from '../../replicated/log/log-errors.ts';
import { unlessAborted } from '../lease-elector.ts';
import { unfitNatsPayload, unfitNatsStream, unfitNatsVersion } from './nats-examination.ts';
import type { ResolvedNatsOptions } from './nats-options.ts';

/** JetStream's error code for an append whose position is not the next one. */
const WRONG_LAST_SEQUENCE = 10071;
const STREAM_NOT_FOUND = 10059;

/** An append found that the log ends elsewhere: at `last`. */
export class WrongSequenceError extends Error {
  override readonly name: string = 'WrongSequenceError';
  readonly last: number;

  constructor(last: number) {
    super(`the stream ends at ${last}`);
    this.last = last;
  }
}

/**
 * A connection to a cluster. It reconnects automatically and checks each server that it connects
 * to.
 */
export class NatsConnection {
  readonly options: ResolvedNatsOptions;
  readonly #client: Client;
  readonly #streams: JetStreamManager;
  readonly #messages: JetStreamClient;
  readonly #ended = new AbortController();
  #unfit: UnfitEngineError | undefined;

  private constructor(options: ResolvedNatsOptions, client: Client, streams: JetStreamManager) {
    this.options = options;
    this.#client = client;
    this.#streams = streams;
    this.#messages = jetstream(client, { timeout: options.timeoutMs });
    this.#checkServer();
    void this.#watchServers();
  }

  static async open(options: ResolvedNatsOptions): Promise<NatsConnection> {
    const { timeoutMs, given } = options;
    const { user, password: pass, token, tls } = given;
    const login = { ...(user !== undefined && { user }), ...(pass !== undefined && { pass }) };
    let client: Client | undefined;
    try {
      client = await connect({
        servers: [...options.servers],
        timeout: timeoutMs,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
        pingInterval: timeoutMs,
        maxPingOut: 2,
        ...login,
        ...(token !== undefined && { token }),
        ...(tls !== undefined && { tls }),
      });
      const streams = await jetstreamManager(client, { timeout: timeoutMs });
      const connection = new NatsConnection(options, client, streams);
      connection.#requireFit();
      return connection;
    } catch (error) {
      await client?.close();
      if (error instanceof UnfitEngineError) throw error;
      const text = `${descriptionOf(options)} does not answer: ${messageOf(error)}`;
      throw new LogUnavailableError(text, { cause: error });
    }
  }

  get description(): string {
    return descriptionOf(this.options);
  }

  /** Aborted when the connection is closed. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** The version of the connected server. */
  get version(): string {
    return this.#client.info?.version ?? '';
  }

  /**
   * Creates a stream, unless it exists. A `max_age` of an existing stream that is shorter than the
   * wanted one is raised, and never lowered: the nodes may want different ones.
   * @throws UnfitEngineError if the existing stream would drop messages that must last; StoreError
   *   `LODESTORE_NOT_FOUND` if it does not exist and must not be created
   */
  async ensureStream(
    wanted: Partial<StreamConfig> & { name: string },
    create = true,
  ): Promise<void> {
    const { name, max_age: expiry = 0 } = wanted;
    const config = (await this.findStream(name)) ?? (await this.#addStream(wanted, create));
    const unfit = unfitNatsStream(wanted, config);
    if (unfit !== undefined) {
      throw new UnfitEngineError(unfit.check, `${unfit.text}: ${unfit.remedy}`);
    }
    const isShort = expiry > 0 && (config.max_age === 0 || config.max_age < expiry);
    if (isShort) await this.call(({ streams }) => streams.update(name, { max_age: expiry }));
  }

  /** The settings of a stream; undefined if it does not exist. */
  findStream(name: string): Promise<StreamConfig | undefined> {
    return this.call(async ({ streams }) => {
      try {
        return (await streams.info(name)).config;
      } catch (error) {
        if (isCode(error, STREAM_NOT_FOUND)) return undefined;
        throw error;
      }
    });
  }

  async #addStream(
    wanted: Partial<StreamConfig> & { name: string },
    create: boolean,
  ): Promise<StreamConfig> {
    if (!create) {
      const text = `${this.description} has no stream ${wanted.name}`;
      throw new StoreError('LODESTORE_NOT_FOUND', text);
    }
    const { config } = await this.call(({ streams }) =>
      streams.add({
        num_replicas: this.options.replicas,
        storage: 'file',
        deny_delete: false,
        // JetStream's minimum: nothing here relies on the duplicate window.
        duplicate_window: 100_000_000,
        ...wanted,
      }),
    );
    return config;
  }

  /**
   * Appends a message if the stream ends at `last`, and resolves to its position.
   * @throws WrongSequenceError if it ends elsewhere.
   */
  async publish(
    subject: string,
    bytes: Uint8Array,
    expect: { readonly lastSequence?: number; readonly lastSubjectSequence?: number },
    signal?: AbortSignal,
  ): Promise<number> {
    const { timeoutMs: timeout } = this.options;
    const publishing = this.call(async () => {
      const ack = await this.#messages.publish(subject, bytes, { expect, timeout, retries: 1 });
      return ack.seq;
    }, signal);
    return await publishing;
  }

  /** Calls the stream API. Rejects with LogUnavailableError if that fails. */
  async call<T>(
    act: (streams: JetStreamManager, messages: JetStreamClient) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.#requireFit();
    signal?.throwIfAborted();
    try {
      return await unlessAborted(act(this.#streams, this.#messages), signal);
    } catch (error) {
      throw this.asFailure(error, signal);
    }
  }

  asFailure(error: unknown, signal?: AbortSignal): unknown {
    if (signal?.aborted === true) return signal.reason;
    if (this.ended.aborted) return closedError();
    if (this.#unfit !== undefined) return this.#unfit;
    if (isCode(error, WRONG_LAST_SEQUENCE)) {
      return new WrongSequenceError(Number(/(\d+)$/.exec(messageOf(error))?.[1] ?? -1));
    }
    if (error instanceof LogUnavailableError) return error;
    const text = `${this.description}: ${messageOf(error)}`;
    return new LogUnavailableError(text, { cause: error });
  }

  async close(): Promise<void> {
    this.#ended.abort();
    await this.#client.close();
  }

  #requireFit(): void {
    if (this.ended.aborted) throw closedError();
    if (this.#unfit !== undefined) throw this.#unfit;
  }

  async #watchServers(): Promise<void> {
    for await (const { type } of this.#client.status()) {
      if (type === 'reconnect') this.#checkServer();
    }
  }

  #checkServer(): void {
    const server = this.#client.getServer();
    const unfit = (setting: string, text: string | undefined): UnfitEngineError | undefined =>
      text === undefined ? undefined : new UnfitEngineError(setting, `${server}: ${text}`);
    this.#unfit =
      unfit('version', unfitNatsVersion(this.version)) ??
      unfit('max_payload', unfitNatsPayload(this.#client.info?.max_payload));
  }
}

function closedError(): StoreClosedError {
  return new StoreClosedError('the connection to NATS is closed');
}

function descriptionOf({ servers }: ResolvedNatsOptions): string {
  return `NATS at ${servers.join(', ')}`;
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
