import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ClientGoneError } from '../base/protocol-error.ts';
import { DECLARATION, xmlDocument } from '../xml/xml-writer.ts';

export type ReplyHeaders = Readonly<Record<string, string | number>>;

/**
 * The response to one request. Exactly one of its methods sends it. `keepAlive` may come before
 * `xml` or `text`; the status is then 200, as in S3, and clients find an error in the body.
 */
export class Reply {
  readonly #response: ServerResponse;
  readonly #isHead: boolean;
  readonly #now: () => number;
  readonly #requestId: string;
  #waitedMs = 0;
  #waitsSinceMs: number | undefined;
  #isKeptAlive = false;
  #isRefusalSent = false;
  sentBytes = 0;

  constructor(response: ServerResponse, isHead: boolean, now: () => number, requestId: string) {
    this.#response = response;
    this.#isHead = isHead;
    this.#now = now;
    this.#requestId = requestId;
  }

  /** True if it is too late for another response. */
  get isBegun(): boolean {
    return this.#response.headersSent && !this.#isKeptAlive;
  }

  /** The status was sent, and XML will follow. */
  get isKeptAlive(): boolean {
    return this.#isKeptAlive;
  }

  /** All of a refusal is on its way; the client may close the connection before it is ended. */
  get isRefusalSent(): boolean {
    return this.#isRefusalSent;
  }

  /** Sends white space every `everyMs`, until the returned function is called. */
  keepAlive(everyMs: number): () => void {
    const response = this.#response;
    const timer = setInterval(() => {
      if (response.destroyed) return;
      if (!this.#isKeptAlive) {
        this.#isKeptAlive = true;
        this.#writeHead(200, { 'content-type': 'application/xml' });
        response.write(DECLARATION);
      }
      response.write(' ');
    }, everyMs);
    return () => clearInterval(timer);
  }

  /** Milliseconds in which the client accepted no bytes although some were ready. */
  get waitedMs(): number {
    const since = this.#waitsSinceMs;
    return this.#waitedMs + (since === undefined ? 0 : this.#now() - since);
  }

  /** Sends no body. `content-length` is 0 unless it is given, as for HEAD. */
  empty(status: number, headers: ReplyHeaders = {}): void {
    const hasLength = status === 204 || status === 304 || headers['content-length'] !== undefined;
    this.#writeHead(status, headers, hasLength ? [] : ['content-length', 0]);
    this.#response.end();
  }

  xml(root: string, content: string, headers: ReplyHeaders = {}): void {
    this.text(200, xmlDocument(root, content), headers);
  }

  text(status: number, body: string, headers: ReplyHeaders = {}): void {
    if (this.#isKeptAlive) {
      this.sentBytes += Buffer.byteLength(body);
      this.#response.end(body.slice(DECLARATION.length));
    } else {
      this.#response.end(this.#begin(status, body, headers));
    }
  }

  /**
   * Refuses a client that still sends its body. The response is sent completely; then the body is
   * read and dropped, within limits. Closing the connection at once could lose the response. Nobody
   * else may pause the message any more.
   */
  linger(
    status: number,
    body: string,
    headers: ReplyHeaders,
    message: IncomingMessage,
    bound: { readonly ms: number; readonly bytes: number },
  ): void {
    const bytes = this.#begin(status, body, { ...headers, connection: 'close' });
    const response = this.#response;
    // Node sends the head with the first bytes of a body. A response to HEAD has none.
    if (bytes === undefined) response.flushHeaders();
    response.write(bytes ?? body, (error) => {
      this.#isRefusalSent = error === undefined || error === null;
    });
    let leftBytes = bound.bytes;
    const end = (): void => void response.end();
    const timer = setTimeout(end, bound.ms);
    message.on('data', (piece: Uint8Array) => {
      leftBytes -= piece.length;
      if (leftBytes < 0) end();
    });
    message.once('end', end);
    message.on('error', end);
    response.once('close', () => clearTimeout(timer));
    message.resume();
  }

  /** Sends a body whose length is the `content-length` of the headers. */
  bytes(status: number, headers: ReplyHeaders, body: Uint8Array): void {
    this.#writeHead(status, headers);
    this.sentBytes += body.length;
    this.#response.end(body);
  }

  /**
   * Sends bytes as they are read. The first piece is read before the status is sent, so damage of a
   * small object is reported by the status. Later, breaking the connection is the only way.
   */
  async stream(
    status: number,
    headers: ReplyHeaders,
    body: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const response = this.#response;
    const length = Number(headers['content-length']);
    const pieces = body[Symbol.asyncIterator]();
    try {
      let next = await pieces.next();
      this.#writeHead(status, headers);
      while (next.done !== true) {
        this.sentBytes += next.value.length;
        if (this.sentBytes >= length) {
          response.end(next.value);
          return;
        }
        if (!response.write(next.value)) await this.#drained();
        if (response.destroyed) throw new ClientGoneError();
        next = await pieces.next();
      }
      throw new RangeError(`an object of ${length} bytes ended after ${this.sentBytes}`);
    } finally {
      await pieces.return?.();
    }
  }

  /** Breaks the connection during a response: the client detects the missing bytes. */
  abort(): void {
    this.#response.destroy();
  }

  /** A list, because merging objects takes longer than to send them. */
  #writeHead(status: number, headers: ReplyHeaders, further: (string | number)[] = []): void {
    const id = this.#requestId;
    const list: (string | number)[] = [
      'server',
      'lodestore-node',
      'x-amz-request-id',
      id,
      'x-amz-id-2',
      id,
    ];
    for (const name of Object.keys(headers)) list.push(name, headers[name]!);
    list.push(...further);
    this.#response.writeHead(status, list);
  }

  /** Sends the head. Returns the body to send; none for HEAD. */
  #begin(status: number, body: string, headers: ReplyHeaders): Buffer | undefined {
    const bytes = Buffer.from(body);
    this.#writeHead(status, {
      'content-type': 'application/xml',
      'content-length': bytes.length,
      ...headers,
    });
    if (this.#isHead) return undefined;
    this.sentBytes += bytes.length;
    return bytes;
  }

  async #drained(): Promise<void> {
    this.#waitsSinceMs = this.#now();
    const gone = new AbortController();
    const stop = (): void => gone.abort();
    this.#response.once('close', stop);
    try {
      if (!this.#response.destroyed) await once(this.#response, 'drain', { signal: gone.signal });
    } catch (error) {
      throw gone.signal.aborted ? new ClientGoneError() : error;
    } finally {
      this.#response.off('close', stop);
      this.#waitedMs += this.#now() - this.#waitsSinceMs;
      this.#waitsSinceMs = undefined;
    }
  }
}
