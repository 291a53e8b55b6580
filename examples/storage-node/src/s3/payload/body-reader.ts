import type { Readable } from 'node:stream';
import { JoinedPieces } from '../../joined-pieces.ts';
import { ClientGoneError } from '../base/protocol-error.ts';
import type { BodyShare } from './body-memory.ts';

/** Bytes buffered in a reader before the socket is paused. */
const MAX_WAITING_BYTES = 256 * 1024;

/** The part of `IncomingMessage` that is read. */
export type BodySource = Readable & { readonly complete: boolean };

/**
 * The raw bytes of a request's body, pulled one piece at a time. Small pieces that wait are joined.
 * The socket is paused while nobody pulls. Counts the time that it waited for the client, which
 * distinguishes slow clients from a slow node.
 */
export class BodyReader {
  readonly #source: BodySource;
  readonly #now: () => number;
  readonly #share: BodyShare | undefined;
  #request: (() => void) | undefined;
  #waiting = new JoinedPieces();
  #waitingBytes = 0;
  #isEnded = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #waitedMs = 0;
  #waitsSinceMs: number | undefined;
  receivedBytes = 0;

  /**
   * `request` is called once, before the first read: then the client may send. What waits counts in
   * `share`.
   */
  constructor(source: BodySource, now: () => number, request?: () => void, share?: BodyShare) {
    this.#source = source;
    this.#now = now;
    this.#request = request;
    this.#share = share;
    source.on('data', (bytes: Uint8Array) => this.#take(bytes));
    source.once('end', () => this.#settle());
    source.once('error', () => this.fail(new ClientGoneError()));
    source.once('close', () => {
      if (!source.complete) this.fail(new ClientGoneError());
    });
  }

  /** Milliseconds in which the client owed bytes and sent none. */
  get waitedMs(): number {
    return (
      this.#waitedMs + (this.#waitsSinceMs === undefined ? 0 : this.#now() - this.#waitsSinceMs)
    );
  }

  /** `undefined` at the end. @throws ClientGoneError, or the error passed to `fail`. */
  async next(): Promise<Uint8Array | undefined> {
    this.#request?.();
    this.#request = undefined;
    for (;;) {
      const bytes = this.#waiting.shift();
      if (bytes !== undefined) {
        this.#waitingBytes -= bytes.length;
        this.#share?.hold(-bytes.length);
        if (this.#waitingBytes === 0 && this.#source.isPaused()) this.#source.resume();
        return bytes;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isEnded) return undefined;
      this.#waitsSinceMs = this.#now();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#waitedMs += this.#now() - this.#waitsSinceMs;
      this.#waitsSinceMs = undefined;
    }
  }

  /**
   * Rejects reads, unless the whole body has arrived. What waits and what still comes is dropped
   * without a pause, so that the client can send it all and receive its response. The first failure
   * counts.
   */
  fail(error: Error): void {
    if (this.#isEnded || this.#failure !== undefined) return;
    this.#failure = error;
    this.#request = undefined;
    this.#waiting = new JoinedPieces();
    this.#share?.hold(-this.#waitingBytes);
    this.#waitingBytes = 0;
    this.#source.resume();
    this.#wake?.();
  }

  #take(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length;
    if (this.#failure !== undefined) return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#share?.hold(bytes.length);
    const isFull = this.#share?.isMemoryFull === true;
    if (isFull || this.#waitingBytes >= MAX_WAITING_BYTES) this.#source.pause();
    this.#wake?.();
  }

  #settle(): void {
    this.#isEnded = true;
    this.#wake?.();
  }
}
