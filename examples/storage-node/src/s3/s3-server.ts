import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ObjectNode } from '../object-node.ts';
import { type AccessKey, AccessKeys } from './auth/access-keys.ts';
import { limitsOf, type S3Limits } from './base/limits.ts';
import { PaceKeeper } from './pace-keeper.ts';
import { RequestHandler } from './request-handler.ts';
import type { S3Settings } from './call/s3-call.ts';
import { type AccessEntry, S3Stats } from './s3-stats.ts';

export interface TlsFiles {
  /** PEM, as it stands in the file: the certificate, then those that signed it. */
  readonly certificate: string | Buffer;
  /** PEM. */
  readonly key: string | Buffer;
}

export interface S3ServerOptions {
  /** At least one. Each of them has every right. */
  readonly keys: readonly AccessKey[];
  /** Where it is absent, the server speaks plain HTTP. */
  readonly tls?: TlsFiles;
  readonly limits?: Partial<S3Limits>;
  /** Called once a request, after its last byte. It must not throw. */
  readonly log?: (entry: AccessEntry) => void;
  /** What clients are told; any region that they sign for is accepted. Default: `us-east-1`. */
  readonly region?: string;
  /** Milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

const PACE_CHECK_MS = 5000;
/** Requests that are not done by then are cut. */
const CLOSE_GRACE_MS = 10_000;

/** The S3 side of a node. It listens on nothing until `listen`. */
export class S3Server {
  readonly stats: S3Stats = new S3Stats();
  readonly limits: S3Limits;
  readonly #server: Server | TlsServer;
  readonly #scheme: 'http' | 'https';
  readonly #pace: PaceKeeper;
  readonly #timer: NodeJS.Timeout;

  constructor(node: ObjectNode, options: S3ServerOptions) {
    this.limits = limitsOf(options.limits);
    const { tls } = options;
    this.#scheme = tls === undefined ? 'http' : 'https';
    const keys = new AccessKeys(options.keys);
    this.#pace = new PaceKeeper(this.limits);
    const settings: S3Settings = {
      limits: this.limits,
      scheme: this.#scheme,
      region: options.region ?? 'us-east-1',
      owner: ownerOf(options.keys),
      now: options.now ?? Date.now,
    };
    const handler = new RequestHandler({
      node,
      keys,
      settings,
      stats: this.stats,
      pace: this.#pace,
      idPrefix: randomBytes(4).toString('hex').toUpperCase(),
      ...(options.log !== undefined && { log: options.log }),
    });
    const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
      handler.handle(message, response);
    };
    const { maxHeaderBytes, headersTimeoutMs } = this.limits;
    const common = {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      // A large body may take hours: its pace is what counts.
      requestTimeout: 0,
      connectionsCheckingInterval: PACE_CHECK_MS,
    };
    this.#server =
      tls === undefined
        ? createServer(common, onRequest)
        : createTlsServer({ ...common, cert: tls.certificate, key: tls.key }, onRequest);
    this.#configure(onRequest);
    this.#timer = setInterval(() => this.#pace.check(), PACE_CHECK_MS).unref();
  }

  #configure(onRequest: (message: IncomingMessage, response: ServerResponse) => void): void {
    const server = this.#server;
    // The answer may be a refusal, and then the body need not be sent at all.
    server.on('checkContinue', onRequest);
    // Other expectations are passed over, as S3 does; by default they are answered with 417.
    server.on('checkExpectation', onRequest);
    // Headers are counted with the request, and bounded by their bytes. With a limit of its own,
    // Node 20 drops headers above it in silence, and Node 24 answers 431.
    server.maxHeadersCount = 0;
    server.maxConnections = this.limits.maxConnections;
    server.setTimeout(this.limits.idleTimeoutMs);
    server.on('connection', (socket) => {
      this.stats.connections++;
      socket.once('close', () => this.stats.connections--);
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const isTooLong = error.code === 'HPE_HEADER_OVERFLOW';
      const line = isTooLong ? '431 Request Header Fields Too Large' : '400 Bad Request';
      if (socket.writable && error.code !== 'ECONNRESET') {
        socket.end(`HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      } else socket.destroy();
    });
  }

  /** Resolves to the URL once clients can connect. Port 0 takes any that is free. */
  async listen(port = 0, host = '127.0.0.1'): Promise<string> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    const address = this.#server.address() as AddressInfo;
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${this.#scheme}://${name}:${address.port}`;
  }

  /** Connections from now on get this certificate; those that stand keep theirs. */
  renewTls(tls: TlsFiles): void {
    if (!('setSecureContext' in this.#server)) throw new TypeError('the server speaks plain HTTP');
    this.#server.setSecureContext({ cert: tls.certificate, key: tls.key });
  }

  /** Judges the pace of all transfers now; the server does so by itself every few seconds. */
  checkPace(): void {
    this.#pace.check();
  }

  /** Finishes the requests under way, for a while. The node stays open. */
  async close(graceMs: number = CLOSE_GRACE_MS): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeIdleConnections();
    // Connections that are kept alive become idle one by one, as their requests end.
    const idle = setInterval(() => this.#server.closeIdleConnections(), 50);
    const grace = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearInterval(idle);
    clearTimeout(grace);
  }
}

/** As with S3, an id of 64 hexadecimal digits; it tells nothing of the keys. */
function ownerOf(keys: readonly AccessKey[]): { id: string; displayName: string } {
  const [first] = keys;
  const id = createHash('sha256')
    .update(`owner ${first?.accessKeyId ?? ''}`)
    .digest('hex');
  return { id, displayName: first?.accessKeyId ?? '' };
}

/**
 * Serves a node to clients of S3, by path: `http://HOST/BUCKET/KEY`. The server does not close the
 * node.
 *
 * @throws RangeError for wrong keys or limits.
 */
export function createS3Server(node: ObjectNode, options: S3ServerOptions): S3Server {
  return new S3Server(node, options);
}
