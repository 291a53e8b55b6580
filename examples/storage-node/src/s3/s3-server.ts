import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ObjectNode } from '../object-node.ts';
import { type AccessKey, AccessKeys } from './auth/access-keys.ts';
import { limitsOf, type S3Limits } from './base/limits.ts';
import { PaceKeeper } from './pace-keeper.ts';
import { RequestHandler } from './request-handler.ts';
import { domainsOf } from './call/bucket-host.ts';
import type { S3Settings } from './call/s3-call.ts';
import { type AccessEntry, S3Stats } from './s3-stats.ts';

export interface TlsFiles {
  /** PEM, as in the file: the certificate, then its signers'. */
  readonly certificate: string | Buffer;
  /** PEM. */
  readonly key: string | Buffer;
}

export interface S3ServerOptions {
  /** At least one. Each of them has all rights. */
  readonly keys: readonly AccessKey[];
  /** Without it, the server uses plain HTTP. */
  readonly tls?: TlsFiles;
  readonly limits?: Partial<S3Limits>;
  /** Called once per request, after its last byte. It must not throw. */
  readonly log?: (entry: AccessEntry) => void;
  /**
   * The region reported to clients; requests signed for any region are accepted. Default
   * `us-east-1`.
   */
  readonly region?: string;
  /** Whether signatures of version 2 are accepted. Default true. */
  readonly takesV2?: boolean;
  /**
   * Names of this node: with `s3.example.com`, the host name `photos.s3.example.com` addresses the
   * bucket `photos`. Default: none, and buckets are addressed by path.
   */
  readonly domains?: readonly string[];
  /** Returns milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
  /**
   * Returns milliseconds since any moment, and never goes back; the pace of clients is measured by
   * it. Default `performance.now`.
   */
  readonly monotonicMs?: () => number;
}

const PACE_CHECK_MS = 5000;
/** Requests that are not done by then are aborted. */
const CLOSE_GRACE_MS = 10_000;

/** A client sends its first request sooner. */
const SILENT_MS = 1000;

interface OpenSocket {
  /** It gets the requests: the same, or that of TLS over it. */
  socket: Socket;
  readonly openedMs: number;
}

/** The S3 server of a node. Does not listen until `listen`. */
export class S3Server {
  readonly stats: S3Stats = new S3Stats();
  readonly limits: S3Limits;
  readonly #server: Server | TlsServer;
  readonly #scheme: 'http' | 'https';
  readonly #pace: PaceKeeper;
  readonly #keys: AccessKeys;
  readonly #timer: NodeJS.Timeout;
  readonly #monotonicMs: () => number;
  readonly #handler: RequestHandler;
  /** Open TCP connections, the oldest first. */
  readonly #sockets = new Map<Socket, OpenSocket>();
  readonly #byPeer = new Map<string, Socket>();

  constructor(node: ObjectNode, options: S3ServerOptions) {
    this.limits = limitsOf(options.limits);
    const { tls } = options;
    this.#scheme = tls === undefined ? 'http' : 'https';
    const keys = new AccessKeys(options.keys);
    this.#keys = keys;
    this.#pace = new PaceKeeper(this.limits);
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    const settings: S3Settings = {
      limits: this.limits,
      scheme: this.#scheme,
      region: options.region ?? 'us-east-1',
      takesV2: options.takesV2 ?? true,
      domains: domainsOf(options.domains),
      owner: ownerOf(options.keys),
      now: options.now ?? Date.now,
      monotonicMs: this.#monotonicMs,
    };
    this.#handler = new RequestHandler({
      node,
      keys,
      settings,
      stats: this.stats,
      pace: this.#pace,
      idPrefix: randomBytes(4).toString('hex').toUpperCase(),
      ...(options.log !== undefined && { log: options.log }),
    });
    const { maxHeaderBytes, headersTimeoutMs, nextRequestTimeoutMs } = this.limits;
    const common = {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      keepAliveTimeout: nextRequestTimeoutMs,
      // A large body may take hours: its pace is checked instead.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.min(PACE_CHECK_MS, headersTimeoutMs),
    };
    this.#server =
      tls === undefined
        ? createServer(common)
        : createTlsServer({
            ...common,
            handshakeTimeout: headersTimeoutMs,
            cert: tls.certificate,
            key: tls.key,
          });
    this.#configure(this.#handler);
    this.#timer = setInterval(() => this.#pace.check(), PACE_CHECK_MS).unref();
  }

  #configure(handler: RequestHandler): void {
    const server = this.#server;
    const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
      handler.handle(message, response);
    };
    server.on('request', onRequest);
    // The response may be a refusal, and then the body need not be sent.
    server.on('checkContinue', onRequest);
    // Other expectations are ignored, as in S3; by default Node answers 417.
    server.on('checkExpectation', onRequest);
    // Headers are counted with the request, and limited by their bytes. With a separate limit, Node
    // 20 silently drops headers above it, and Node 24 answers 431.
    server.maxHeadersCount = 0;
    server.setTimeout(this.limits.idleTimeoutMs);
    server.on('connection', (socket: Socket) => {
      if (this.#sockets.size >= this.limits.maxConnections && !this.#closeIdlest()) {
        socket.destroy();
        return;
      }
      const peer = peerOf(socket);
      this.stats.connections++;
      this.#sockets.set(socket, { socket, openedMs: this.#monotonicMs() });
      this.#byPeer.set(peer, socket);
      socket.once('close', () => {
        this.stats.connections--;
        this.#sockets.delete(socket);
        if (this.#byPeer.get(peer) === socket) this.#byPeer.delete(peer);
      });
    });
    server.on('secureConnection', (socket: Socket) => {
      const below = this.#byPeer.get(peerOf(socket));
      const known = below === undefined ? undefined : this.#sockets.get(below);
      if (known !== undefined) known.socket = socket;
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      handler.clientFailed(error, socket);
    });
  }

  /** Resolves to the URL once clients can connect. Port 0 takes any free port. */
  async listen(port = 0, host = '127.0.0.1'): Promise<string> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    const address = this.#server.address() as AddressInfo;
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${this.#scheme}://${name}:${address.port}`;
  }

  /** New connections get this certificate; existing ones keep theirs. */
  renewTls(tls: TlsFiles): void {
    if (!('setSecureContext' in this.#server)) throw new TypeError('the server uses plain HTTP');
    this.#server.setSecureContext({ cert: tls.certificate, key: tls.key });
  }

  /**
   * Replaces the access keys. Requests that have begun are finished. Without keys, every request is
   * refused.
   *
   * @throws RangeError for wrong keys; the former keys then stay.
   */
  replaceKeys(keys: readonly AccessKey[]): void {
    this.#keys.replace(keys);
  }

  /** Checks the pace of all transfers now; the server also does so every few seconds. */
  checkPace(): void {
    this.#pace.check();
  }

  /** Finishes running requests within the grace period. The node stays open. */
  async close(graceMs: number = CLOSE_GRACE_MS): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#destroyIdle();
    // Kept-alive connections become idle one by one, as their requests end.
    const idle = setInterval(() => this.#destroyIdle(), 50);
    const grace = setTimeout(() => this.#destroyConnections(), graceMs);
    await closed;
    clearInterval(idle);
    clearTimeout(grace);
  }

  /**
   * Makes room for a new connection: closes the oldest that is silent from the start, or else the
   * oldest that waits for its next request. Node's `maxConnections` would keep new clients out.
   */
  #closeIdlest(): boolean {
    const silentSinceMs = this.#monotonicMs() - SILENT_MS;
    let idlest: Socket | undefined;
    for (const [below, { socket, openedMs }] of this.#sockets) {
      if (this.#handler.isBusy(socket)) continue;
      const isSilent = openedMs < silentSinceMs && !this.#handler.hadRequest(socket);
      if (isSilent || idlest === undefined) idlest = below;
      if (isSilent) break;
    }
    if (idlest === undefined) return false;
    this.#sockets.get(idlest)?.socket.destroy();
    // Its descriptor is free now, and its place too; the event of its end comes later.
    this.#sockets.delete(idlest);
    return true;
  }

  /** Node's own list of idle connections has none that has not sent a request yet. */
  #destroyIdle(): void {
    for (const { socket } of this.#sockets.values()) {
      if (!this.#handler.isBusy(socket)) socket.destroy();
    }
  }

  #destroyConnections(): void {
    this.#server.closeAllConnections();
    for (const socket of this.#sockets.keys()) socket.destroy();
  }
}

/** The same for a TCP connection and for TLS over it. */
function peerOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${remoteAddress} ${remotePort}`;
}

/** An id of 64 hexadecimal digits, as in S3. It reveals nothing of the keys. */
function ownerOf(keys: readonly AccessKey[]): { id: string; displayName: string } {
  const [first] = keys;
  const id = createHash('sha256')
    .update(`owner ${first?.accessKeyId ?? ''}`)
    .digest('hex');
  return { id, displayName: first?.accessKeyId ?? '' };
}

/**
 * Serves a node to S3 clients: `http://HOST/BUCKET/KEY`, and `http://BUCKET.DOMAIN/KEY`. The server
 * does not close the node.
 *
 * @throws RangeError for wrong keys, limits or domains.
 */
export function createS3Server(node: ObjectNode, options: S3ServerOptions): S3Server {
  return new S3Server(node, options);
}
