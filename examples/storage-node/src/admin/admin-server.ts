import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FiguresSource } from '../node-figures.ts';
import { DURATION_BOUNDS_S, type S3Stats } from '../s3/s3-stats.ts';
import { expositionOf } from './exposition.ts';
import { History } from './history.ts';

export interface PageFile {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

export interface AdminServerOptions {
  readonly node: FiguresSource;
  readonly s3: S3Stats;
  /** Files by path, `/` for the page. Without them, only metrics and health are served. */
  readonly page?: ReadonlyMap<string, PageFile>;
  /** The S3 URL that the page shows. */
  readonly s3Url?: string;
  /** Additional Prometheus text, for example of the metadata store. */
  readonly metrics?: () => Promise<string> | string;
  /** Milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

const SAMPLE_MS = 1000;
const HISTORY_SAMPLES = 300;

const PATHS = 'known paths: /, /metrics, /health, /health/put, /status.json\n';

const SECURITY = {
  'content-security-policy':
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/**
 * The second port of a node: a status page, `/metrics` for Prometheus, `/health`. It has no access
 * keys: it listens on the loopback and answers only requests for loopback host names, so that no
 * page of another site can read it through a browser.
 */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #server: Server;
  readonly #history: History;
  readonly #now: () => number;
  readonly #startedMs: number;
  readonly #timer: NodeJS.Timeout;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#startedMs = this.#now();
    this.#history = new History(options.s3, HISTORY_SAMPLES);
    this.#history.sample(this.#startedMs);
    this.#timer = setInterval(() => this.#history.sample(this.#now()), SAMPLE_MS).unref();
    this.#server = createServer({ requestTimeout: 10_000 }, (message, response) => {
      this.#answer(message, response).catch(() => {
        if (response.headersSent) response.destroy();
        else send(response, 500, 'text/plain', 'the node did not answer\n');
      });
    });
  }

  /** Resolves to the URL. Port 0 takes any free port. */
  async listen(port = 0, host = '127.0.0.1'): Promise<string> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    const address = this.#server.address() as AddressInfo;
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `http://${name}:${address.port}`;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const isRead = message.method === 'GET' || message.method === 'HEAD';
    if (!isRead) return send(response, 405, 'text/plain', 'only GET and HEAD\n');
    if (!isLoopbackName(message.headers.host)) {
      return send(response, 403, 'text/plain', 'only under a loopback host name\n');
    }
    const target = message.url ?? '/';
    // Such as `//`.
    if (!URL.canParse(target, 'http://node')) return send(response, 404, 'text/plain', PATHS);
    const { pathname, searchParams } = new URL(target, 'http://node');
    const file = this.#options.page?.get(pathname);
    if (file !== undefined) return send(response, 200, file.contentType, file.bytes);
    if (pathname === '/health' || pathname === '/health/put') {
      const health = healthOf(this.#options.node, pathname === '/health/put');
      const status = health.status === 'ok' ? 200 : 503;
      return send(response, status, 'application/json', `${JSON.stringify(health)}\n`);
    }
    if (pathname === '/metrics') {
      const own = expositionOf(await this.#options.node.figures(), this.#options.s3);
      const further = (await this.#options.metrics?.()) ?? '';
      return send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', own + further);
    }
    if (pathname === '/status.json') {
      const status = await this.#status(Number(searchParams.get('since') ?? 0));
      return send(response, 200, 'application/json', JSON.stringify(status));
    }
    send(response, 404, 'text/plain', PATHS);
  }

  async #status(sinceMs: number): Promise<object> {
    const { node, s3, s3Url } = this.#options;
    const { recentErrors, receivedBytes, sentBytes, inFlight, connections } = s3;
    let requests = 0;
    for (const { requests: byStatus } of s3.operations.values()) {
      for (const count of byStatus.values()) requests += count;
    }
    return {
      atMs: this.#now(),
      pid: process.pid,
      startedMs: this.#startedMs,
      s3Url,
      durationBoundsS: DURATION_BOUNDS_S,
      figures: await node.figures(),
      s3: { requests, receivedBytes, sentBytes, inFlight, connections, recentErrors },
      samples: this.#history.since(sinceMs),
    };
  }
}

const FULL_DISK =
  'the disk is full: PUT is refused (507 InsufficientStorage) until objects are deleted, incomplete ' +
  'uploads are aborted, or other files are removed';

interface Health {
  readonly status: 'ok' | 'full' | 'failed';
  readonly full?: true;
  readonly reason?: string;
}

/**
 * A full node is alive: to start it again frees nothing, and GET and DELETE work. `ofPut`: whether
 * it also takes bodies. Nothing is read from the disk, so that a slow one fails no check.
 */
function healthOf({ failure, isFull }: FiguresSource, ofPut: boolean): Health {
  if (failure !== undefined) return { status: 'failed', reason: failure.message };
  if (isFull !== true) return { status: 'ok' };
  return { status: ofPut ? 'full' : 'ok', full: true, reason: FULL_DISK };
}

/** True for a host name that always means this machine; other names depend on a DNS server. */
function isLoopbackName(host: string | undefined): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host ?? '');
}

function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string | Uint8Array,
): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(status, {
    ...SECURITY,
    'content-type': contentType,
    'content-length': bytes.length,
  });
  response.end(response.req.method === 'HEAD' ? undefined : bytes);
}

/** Does not listen until `listen`. */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  return new AdminServer(options);
}
