import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ObjectNode } from '../object-node.ts';
import type { AccessKeys } from './auth/access-keys.ts';
import { authenticate } from './auth/authenticate.ts';
import { Connections } from './connections.ts';
import { assertMeantByPath } from './call/bucket-host.ts';
import { operationOf } from './dispatch.ts';
import { causeText, protocolErrorOf } from './call/error-mapping.ts';
import type { PaceKeeper } from './pace-keeper.ts';
import { ClientGoneError, ProtocolError } from './base/protocol-error.ts';
import { Reply } from './call/reply.ts';
import { BodyMemory } from './payload/body-memory.ts';
import { S3Call, type S3Settings } from './call/s3-call.ts';
import { S3Request } from './call/s3-request.ts';
import type { AccessEntry, S3Stats } from './s3-stats.ts';
import { errorDocument, textElement } from './xml/xml-writer.ts';

/** How much of a refused client's body is read, so that it can receive the response. */
const LINGER = { ms: 2000, bytes: 8 * 2 ** 20 };

const STATUS_CLIENT_GONE = 499;

export interface HandlerParts {
  readonly node: ObjectNode;
  readonly keys: AccessKeys;
  readonly settings: S3Settings;
  readonly stats: S3Stats;
  readonly pace: PaceKeeper;
  /** Makes request ids differ between two runs. */
  readonly idPrefix: string;
  readonly log?: (entry: AccessEntry) => void;
}

/** What is known of a request while it is handled. */
interface Progress {
  readonly requestId: string;
  readonly atMs: number;
  readonly startMs: number;
  /** Read at once, because a closed socket no longer knows its peer. */
  readonly client: string;
  readonly reply: Reply;
  operation: string;
  accessKeyId?: string;
  error?: ProtocolError;
  call?: S3Call;
}

/** Handles requests: head, signature, operation, response, log. */
export class RequestHandler {
  readonly #parts: HandlerParts;
  readonly #connections = new Connections();
  readonly #memory: BodyMemory;
  #count = 0;

  constructor(parts: HandlerParts) {
    this.#parts = parts;
    this.#memory = new BodyMemory(parts.settings.limits.maxBodyMemoryBytes);
  }

  /** Sends the response itself. Never throws. */
  handle(message: IncomingMessage, response: ServerResponse): void {
    const { settings, stats } = this.#parts;
    const requestId =
      this.#parts.idPrefix + (this.#count++).toString(16).padStart(8, '0').toUpperCase();
    const reply = new Reply(response, message.method === 'HEAD', settings.monotonicMs, requestId);
    const progress: Progress = {
      requestId,
      atMs: settings.now(),
      startMs: performance.now(),
      client: message.socket.remoteAddress ?? '',
      reply,
      operation: 'Unknown',
    };
    stats.inFlight++;
    this.#connections.add({
      message,
      response,
      run: () => {
        this.#run(message, response, progress).catch((error: unknown) => {
          this.#refuse(error, message, progress);
        });
      },
      finish: () => this.#finish(message, response, progress),
    });
  }

  /** An error of a connection, or bytes that are no request. The connection is ended. */
  clientFailed(error: NodeJS.ErrnoException, socket: Duplex): void {
    this.#connections.fail(error, socket);
  }

  /** False: no request of the connection is under way. */
  isBusy(socket: Duplex): boolean {
    return this.#connections.isBusy(socket);
  }

  hadRequest(socket: Duplex): boolean {
    return this.#connections.hadRequest(socket);
  }

  async #run(
    message: IncomingMessage,
    response: ServerResponse,
    progress: Progress,
  ): Promise<void> {
    const { node, keys, settings, pace } = this.#parts;
    const request = new S3Request(message, settings.limits, settings.domains);
    const operation = operationOf(request);
    progress.operation = operation.name;
    if (operation.refusal !== undefined) throw operation.refusal;
    const authenticated = authenticate(request, keys, settings.now(), settings.takesV2);
    progress.accessKeyId = authenticated.accessKeyId;
    request.joinHeadersOfQuery();
    if (settings.domains.length === 0) assertMeantByPath(request.header('host'), node);
    const expected = request.header('x-amz-expected-bucket-owner');
    if (expected !== undefined && expected !== settings.owner.id) {
      throw new ProtocolError('AccessDenied');
    }
    const { reply } = progress;
    const call = new S3Call({
      node,
      settings,
      memory: this.#memory,
      request,
      reply,
      authenticated,
      message,
      response,
    });
    progress.call = call;
    const transfer = {
      waitedMs: () => (call.reader?.waitedMs ?? 0) + reply.waitedMs,
      movedBytes: () => (call.reader?.receivedBytes ?? 0) + reply.sentBytes,
      cut: () => {
        if (reply.isBegun) reply.abort();
        else call.reader?.fail(new ProtocolError('RequestTimeout'));
      },
    };
    pace.add(transfer);
    try {
      await operation.run(call);
    } finally {
      pace.remove(transfer);
      call.release();
    }
  }

  #refuse(error: unknown, message: IncomingMessage, progress: Progress): void {
    const { reply, requestId } = progress;
    if (error instanceof ClientGoneError) return reply.abort();
    const told = protocolErrorOf(error);
    progress.error = told;
    progress.call?.reader?.fail(told);
    // A partial response cannot be withdrawn: the client must detect the missing end.
    if (reply.isBegun) return reply.abort();
    const [path = ''] = (message.url ?? '').split('?');
    const fields = Object.entries(told.fields).map(([name, text]) => textElement(name, text));
    const body = errorDocument(
      textElement('Code', told.code) +
        textElement('Message', told.message) +
        fields.join('') +
        textElement('Resource', path) +
        textElement('RequestId', requestId) +
        textElement('HostId', requestId),
    );
    const isWhole = reply.isKeptAlive || message.complete || hasNoBody(message);
    if (isWhole) reply.text(told.status, body, told.headers);
    else reply.linger(told.status, body, told.headers, message, LINGER);
  }

  #finish(message: IncomingMessage, response: ServerResponse, progress: Progress): void {
    const { stats, log } = this.#parts;
    const { call, accessKeyId, reply } = progress;
    const error = progress.error ?? call?.failure;
    const cause = error === undefined ? undefined : causeText(error);
    stats.inFlight--;
    const entry: AccessEntry = {
      atMs: progress.atMs,
      requestId: progress.requestId,
      client: progress.client,
      operation: progress.operation,
      method: message.method ?? '',
      path: message.url?.split('?')[0] ?? '',
      status: statusOf(response, reply, error),
      receivedBytes: call?.reader?.receivedBytes ?? 0,
      sentBytes: reply.sentBytes,
      durationMs: performance.now() - progress.startMs,
      ...(accessKeyId !== undefined && { accessKeyId }),
      ...(error !== undefined && { error: error.code }),
      ...(cause !== undefined && { cause }),
    };
    stats.finished(entry);
    log?.(entry);
  }
}

/** A failure counts even if the head that was sent before it said 200. */
function statusOf(
  response: ServerResponse,
  reply: Reply,
  error: ProtocolError | undefined,
): number {
  // A client that sent `Expect: 100-continue` closes once it has read a refusal.
  if (response.writableFinished || reply.isRefusalSent) return error?.status ?? response.statusCode;
  return error !== undefined && error.status >= 500 ? error.status : STATUS_CLIENT_GONE;
}

function hasNoBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] === undefined && (length === undefined || length === '0');
}
