import http from 'node:http';
import https from 'node:https';
import { onAbort } from '../../base/abort.ts';
import { clearTimeout, setTimeout } from '../../base/timers.ts';
import { UnfitEngineError } from '../../replicated/log/log-errors.ts';
import { EtcdAttemptError, etcdFailure } from './etcd-failure.ts';
import type { EtcdTls } from './etcd-options.ts';

/** The header of every response of etcd. 64-bit numbers are strings. */
export interface EtcdHeader {
  readonly cluster_id?: string;
  readonly revision?: string;
}

export interface EtcdAnswer {
  readonly header?: EtcdHeader;
}

/** A request to an endpoint. */
export interface EtcdRequest {
  /** Path in the gateway: `/v3/kv/txn`. */
  readonly path: string;
  /** JSON. */
  readonly body: string;
  readonly token?: string | undefined;
  /** Timeout of the whole call; for a stream, of the silence between two responses. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** One member of the cluster, over HTTP. Knows nothing of the other members. */
export class EtcdEndpoint {
  readonly url: URL;
  readonly #tls: EtcdTls;
  readonly #agent: http.Agent | https.Agent;

  constructor(url: URL, tls: EtcdTls) {
    this.url = url;
    this.#tls = tls;
    const keeping = { keepAlive: true, maxFreeSockets: 16 };
    this.#agent = url.protocol === 'https:' ? new https.Agent(keeping) : new http.Agent(keeping);
  }

  /** The response to a call. Rejects with EtcdAttemptError, or with a final error. */
  async call(request: EtcdRequest): Promise<EtcdAnswer> {
    const sent = this.#send(request);
    const deadline = setTimeout(
      () => sent.fail(new EtcdAttemptError(`no answer for ${request.timeoutMs} ms`)),
      request.timeoutMs,
    );
    try {
      const response = await sent.response;
      const text = await textOf(response);
      if (response.statusCode !== 200) throw etcdFailure(response.statusCode ?? 0, text);
      return answerOf(text);
    } catch (error) {
      throw asAttempt(sent.failure ?? error);
    } finally {
      clearTimeout(deadline);
      sent.end();
    }
  }

  /** The responses of a stream. Ends with an EtcdAttemptError when no response arrives in time. */
  async *stream(request: EtcdRequest): AsyncGenerator<EtcdAnswer> {
    const sent = this.#send(request);
    sent.request.setTimeout(request.timeoutMs, () => sent.fail(new EtcdAttemptError('silence')));
    try {
      const response = await sent.response;
      if (response.statusCode !== 200) {
        throw etcdFailure(response.statusCode ?? 0, await textOf(response));
      }
      for await (const line of linesOf(response)) yield resultOf(line);
      throw new EtcdAttemptError('the stream ended');
    } catch (error) {
      throw asAttempt(sent.failure ?? error);
    } finally {
      sent.end();
      sent.request.destroy();
    }
  }

  /** Text from a GET request outside the gateway: metrics. */
  async text(path: string, timeoutMs: number): Promise<string> {
    const signal = AbortSignal.timeout(timeoutMs);
    const sent = this.#send({ path, body: '', timeoutMs, signal }, 'GET');
    try {
      const response = await sent.response;
      const text = await textOf(response);
      if (response.statusCode !== 200) throw etcdFailure(response.statusCode ?? 0, text);
      return text;
    } catch (error) {
      throw asAttempt(sent.failure ?? error);
    } finally {
      sent.end();
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(one: EtcdRequest, method = 'POST'): SentRequest {
    const headers: http.OutgoingHttpHeaders = {
      // With this, a watch at a member without a leader ends instead of staying silent.
      'Grpc-Metadata-hasleader': 'true',
    };
    if (one.token !== undefined) headers['Authorization'] = one.token;
    const options: https.RequestOptions = { method, headers, agent: this.#agent };
    const url = new URL(one.path, this.url);
    const isSecure = url.protocol === 'https:';
    const request = isSecure
      ? https.request(url, { ...options, ...(this.#tls as https.RequestOptions) })
      : http.request(url, options);
    return new SentRequest(request, one);
  }
}

/** A request in flight. */
class SentRequest {
  readonly request: http.ClientRequest;
  readonly response: Promise<http.IncomingMessage>;
  /** Why this side ended it. */
  failure: Error | undefined;
  readonly #removeListener: () => void;

  constructor(request: http.ClientRequest, { body, signal }: EtcdRequest) {
    this.request = request;
    this.response = new Promise((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', reject);
    });
    // The result is awaited later and may have failed by then.
    this.response.catch(() => {});
    this.#removeListener =
      signal === undefined ? () => {} : onAbort(signal, () => this.fail(new Error('aborted')));
    if (signal?.aborted === true) this.fail(new Error('aborted'));
    else request.end(body);
  }

  fail(error: Error): void {
    this.failure ??= error;
    this.request.destroy(error);
  }

  end(): void {
    this.#removeListener();
  }
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}

async function* linesOf(response: http.IncomingMessage): AsyncGenerator<string> {
  let pieces: Buffer[] = [];
  for await (const piece of response as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, from)) {
      pieces.push(piece.subarray(from, end));
      yield Buffer.concat(pieces).toString('utf8');
      pieces = [];
      from = end + 1;
    }
    if (from < piece.length) pieces.push(piece.subarray(from));
  }
}

function answerOf(text: string): EtcdAnswer {
  try {
    return JSON.parse(text) as EtcdAnswer;
  } catch (cause) {
    throw new EtcdAttemptError('the answer is not JSON', { cause });
  }
}

function resultOf(line: string): EtcdAnswer {
  const { result, error } = answerOf(line) as { result?: EtcdAnswer; error?: unknown };
  if (result !== undefined) return result;
  throw etcdFailure(200, JSON.stringify(error ?? line));
}

/** Treats any other error as a connection error. */
function asAttempt(error: unknown): Error {
  if (error instanceof EtcdAttemptError || error instanceof UnfitEngineError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new EtcdAttemptError(message, { cause: error });
}
