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

/** Unfinished requests of one connection. With more, it is closed. */
const MOST_UNFINISHED = 16;

/**
 * The unfinished requests of each connection. A client may send requests before it has the
 * responses to earlier ones (pipelining), and Node passes on all of them at once. Here they run one
 * after another, so that none overtakes another. A response that waits for its turn gets no event
 * when the connection closes; its request is finished here.
 */
export class Connections {
  readonly #unfinished = new WeakMap<Duplex, Set<Exchange>>();

  add(exchange: Exchange): void {
    const { message, response } = exchange;
    const { socket } = message;
    const unfinished = this.#of(socket);
    unfinished.add(exchange);
    response.once('close', () => end(unfinished, exchange));
    if (socket.closed) end(unfinished, exchange);
    else if (unfinished.size > MOST_UNFINISHED) socket.destroy();
    else if (response.socket !== null) start(exchange);
    // Not within the step of Node that passes the socket on.
    else response.once('socket', () => process.nextTick(() => start(exchange)));
  }

  /** The oldest unfinished request of a connection. */
  current(socket: Duplex): Exchange | undefined {
    const [first] = this.#unfinished.get(socket) ?? [];
    return first;
  }

  #of(socket: Duplex): Set<Exchange> {
    const known = this.#unfinished.get(socket);
    if (known !== undefined) return known;
    const unfinished = new Set<Exchange>();
    this.#unfinished.set(socket, unfinished);
    socket.once('close', () => {
      for (const exchange of unfinished) end(unfinished, exchange);
    });
    return unfinished;
  }
}

/** No further request of a connection that is being closed is run. */
function start({ message, response, run }: Exchange): void {
  if (message.socket.writable && !response.destroyed) run();
}

function end(unfinished: Set<Exchange>, exchange: Exchange): void {
  if (unfinished.delete(exchange)) exchange.finish();
}
