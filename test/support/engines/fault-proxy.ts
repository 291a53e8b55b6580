import http from 'node:http';
import { once } from 'node:events';

/**
 * - `pass`: requests go to the server.
 * - `drop-answer`: the server executes the request; the connection breaks before the response.
 * - `refuse`: the connection is closed, and the server gets nothing.
 * - `stall`: nothing is answered, and open streams go silent.
 */
export type ProxyMode = 'pass' | 'drop-answer' | 'refuse' | 'stall';

/** An HTTP proxy in front of an engine's server. */
export class FaultProxy {
  mode: ProxyMode = 'pass';
  /** Requests to other paths always pass. */
  paths = /./;
  /** The number of requests that the mode applied to. */
  hits = 0;
  readonly url: string;
  readonly #server: http.Server;

  private constructor(server: http.Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(target: string): Promise<FaultProxy> {
    const server = http.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const proxy = new FaultProxy(server, `http://127.0.0.1:${port}`);
    server.on('request', (request, response) => proxy.#handle(target, request, response));
    return proxy;
  }

  #handle(target: string, request: http.IncomingMessage, response: http.ServerResponse): void {
    const isMet = this.paths.test(request.url ?? '');
    const mode = isMet ? this.mode : 'pass';
    if (isMet) this.hits++;
    if (mode === 'refuse') return void request.socket.destroy();
    if (mode === 'stall') return void request.resume();
    const headers = { ...request.headers, host: new URL(target).host };
    const upstream = http.request(new URL(request.url ?? '/', target), {
      method: request.method ?? 'GET',
      headers,
    });
    upstream.on('error', () => request.socket.destroy());
    upstream.on('response', (answer) => {
      if (mode === 'drop-answer') {
        answer.resume();
        answer.on('end', () => request.socket.destroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on('data', (piece: Buffer) => {
        if (!(isMet && this.mode === 'stall')) response.write(piece);
      });
      answer.on('end', () => response.end());
      answer.on('error', () => response.destroy());
    });
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
