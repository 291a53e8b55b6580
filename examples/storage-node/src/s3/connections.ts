import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** One request, from its head to the end of its response. */
export interface Exchange {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** Called once at most: after the responses to all earlier requests of the connection. */
  readonly run: () => void;
  /** Called once: after the response, or when the connection has closed before it. */
  readonly finish: () => void;
}

interface Connection {
  /** In the order of the requests. Only the newest may be incomplete. */
  readonly unfinished: Set<Exchange>;
  /** It takes no further request, and is closed after the last response. */
  isEnding: boolean;
}

/** Unfinished requests of one connection. With more, it is closed. */
const MOST_UNFINISHED = 16;

/** A client that still sends can read the status meanwhile: an early close could lose it. */
const LINGER_MS = 2000;

const STATUS_LINES: ReadonlyMap<string, string> = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', '413 Payload Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
]);

/** `undefined` for errors of the connection itself, and of its TLS. */
function statusLineOf(code = ''): string | undefined {
  return STATUS_LINES.get(code) ?? (code.startsWith('HPE_') ? '400 Bad Request' : undefined);
}

/**
 * The unfinished requests of each connection. A client may send requests before it has the
 * responses to earlier ones (pipelining), and Node passes on all of them at once. Here they run one
 * after another, so that none overtakes another. A response that waits for its turn gets no event
 * when the connection closes; its request is finished here.
 */
export class Connections {
  readonly #known = new WeakMap<Duplex, Connection>();

  add(exchange: Exchange): void {
    const { message, response } = exchange;
    const { socket } = message;
    const connection = this.#of(socket);
    const { unfinished } = connection;
    unfinished.add(exchange);
    response.once('close', () => end(connection, exchange));
    if (connection.isEnding || socket.closed) end(connection, exchange);
    else if (unfinished.size > MOST_UNFINISHED) socket.destroy();
    else if (response.socket !== null) start(connection, exchange);
    // Not within the step of Node that passes the socket on.
    else response.once('socket', () => process.nextTick(() => start(connection, exchange)));
  }

  /**
   * An error of a connection, or bytes that are no request. Requests before such bytes are
   * answered. A status for the bytes is sent only if there are none: a client would take it for a
   * part of their responses.
   */
  fail(error: NodeJS.ErrnoException, socket: Duplex): void {
    const connection = this.#of(socket);
    const line = statusLineOf(error.code);
    if (line === undefined) {
      socket.destroy();
      return;
    }
    if (connection.isEnding) return;
    connection.isEnding = true;
    const earlier = [...connection.unfinished];
    const broken = earlier.at(-1)?.message.complete === false ? earlier.pop() : undefined;
    if (!socket.writable) socket.destroy();
    else if (earlier.length > 0) {
      if (broken !== undefined) end(connection, broken);
    } else if (broken?.response.headersSent === true) socket.destroy();
    else answer(socket, line);
  }

  /** True if a request is under way, or a last status is being sent. */
  isBusy(socket: Duplex): boolean {
    const known = this.#known.get(socket);
    return known !== undefined && (known.isEnding || known.unfinished.size > 0);
  }

  hadRequest(socket: Duplex): boolean {
    return this.#known.has(socket);
  }

  #of(socket: Duplex): Connection {
    const known = this.#known.get(socket);
    if (known !== undefined) return known;
    const connection = { unfinished: new Set<Exchange>(), isEnding: false };
    this.#known.set(socket, connection);
    socket.once('close', () => {
      for (const exchange of connection.unfinished) end(connection, exchange);
    });
    return connection;
  }
}

/** No further request of a connection that is being closed is run. */
function start({ unfinished }: Connection, exchange: Exchange): void {
  if (unfinished.has(exchange) && exchange.message.socket.writable) exchange.run();
}

function end({ unfinished, isEnding }: Connection, exchange: Exchange): void {
  if (!unfinished.delete(exchange)) return;
  exchange.finish();
  if (isEnding && unfinished.size === 0) exchange.message.socket.destroySoon();
}

function answer(socket: Duplex, line: string): void {
  socket.end(`HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}
