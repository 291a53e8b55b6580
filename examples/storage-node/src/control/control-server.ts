import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KEEP, type BucketPolicy } from '../ledger/bucket-record.ts';
import type { KeyCommands, NodeCommands, Tell } from './node-commands.ts';

const MOST_BODY_BYTES = 64 * 1024;
/** An empty line keeps the connection alive during a long command. */
const BEAT_MS = 5_000;

/** A command in JSON. */
export interface ControlRequest {
  readonly command: keyof NodeCommands | keyof KeyCommands;
  readonly bytesPerSecond?: number;
  readonly bucket?: string;
  readonly policy?: BucketPolicy;
  readonly accessKeyId?: string;
}

/** Where the server is, and what its callers show. */
export interface ControlAddress {
  readonly control: string;
  readonly token: string;
}

/**
 * Takes the commands of the command line while a node runs, on a port of the loopback. Only users
 * who can read the node's directory know the token, and no page in a browser can send it.
 *
 * The answer is lines of JSON: any number of `{ progress }`, then `{ result }` or `{ error }`.
 */
export class ControlServer {
  readonly #commands: NodeCommands;
  readonly #keys: KeyCommands;
  readonly #token = randomBytes(32).toString('base64url');
  readonly #server: Server;

  constructor(commands: NodeCommands, keys: KeyCommands) {
    this.#commands = commands;
    this.#keys = keys;
    this.#server = createServer({ requestTimeout: 10_000 }, (message, response) => {
      this.#answer(message, response).catch(() => response.destroy());
    });
  }

  async listen(): Promise<ControlAddress> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const { port } = this.#server.address() as AddressInfo;
    return { control: `http://127.0.0.1:${port}`, token: this.#token };
  }

  /** Does not wait for running commands. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (message.method !== 'POST' || !this.#isAllowed(message.headers.authorization)) {
      response.writeHead(403).end();
      return;
    }
    const request = await bodyOf(message);
    if (request === undefined) {
      response.writeHead(400).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const beat = setInterval(() => response.write('\n'), BEAT_MS);
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const tell: Tell = (progress) => void response.write(`${JSON.stringify({ progress })}\n`);
    try {
      const result = await this.#run(request, tell, gone.signal);
      response.end(`${JSON.stringify({ result: result ?? null })}\n`);
    } catch (error) {
      const { code, message: text } = error as { code?: unknown; message: string };
      response.end(`${JSON.stringify({ error: { code: String(code), message: text } })}\n`);
    } finally {
      clearInterval(beat);
    }
  }

  #isAllowed(authorization: string | undefined): boolean {
    const given = Buffer.from(authorization ?? '');
    const expected = Buffer.from(`Bearer ${this.#token}`);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  /** `gone`: nobody waits for the result any more. */
  #run(request: ControlRequest, tell: Tell, gone: AbortSignal): Promise<unknown> {
    const { command, bytesPerSecond = 0, bucket = '', policy = KEEP, accessKeyId = '' } = request;
    switch (command) {
      case 'status':
        return this.#commands.status();
      case 'buckets':
        return this.#commands.buckets();
      case 'createBucket':
        return this.#commands.createBucket(bucket, policy);
      case 'compact':
        return this.#commands.compact(tell);
      case 'scrub':
        return this.#commands.scrub(bytesPerSecond, tell, gone);
      case 'evict':
        return this.#commands.evict(bucket);
      case 'verify':
        return this.#commands.verify(tell, gone);
      case 'listKeys':
        return this.#keys.listKeys();
      case 'addKey':
        return this.#keys.addKey();
      case 'removeKey':
        return this.#keys.removeKey(accessKeyId);
      default:
        return Promise.reject(new Error(`this node has no command ${String(command)}`));
    }
  }
}

/** Undefined: it is not JSON, or too long. */
async function bodyOf(message: IncomingMessage): Promise<ControlRequest | undefined> {
  let text = '';
  for await (const chunk of message.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MOST_BODY_BYTES) return undefined;
  }
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as ControlRequest) : undefined;
  } catch {
    return undefined;
  }
}
