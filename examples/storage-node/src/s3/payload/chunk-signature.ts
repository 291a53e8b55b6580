import { createHash, createHmac, type Hash, timingSafeEqual } from 'node:crypto';
import type { SigningContext } from '../auth/signature-v4.ts';
import { ProtocolError } from '../base/protocol-error.ts';

const EMPTY_SHA256 = createHash('sha256').digest('hex');

/** The chain of signatures of a body in signed chunks: each covers the preceding one. */
export class ChunkSignatures {
  readonly #signing: SigningContext;
  #previous: string;
  #hash: Hash = createHash('sha256');

  constructor(signing: SigningContext) {
    this.#signing = signing;
    this.#previous = signing.signature;
  }

  /** Adds bytes of the current chunk. */
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** Called at the end of a chunk. @throws ProtocolError SignatureDoesNotMatch */
  closeChunk(signature: string): void {
    const digest = this.#hash.digest('hex');
    this.#hash = createHash('sha256');
    this.#advance('AWS4-HMAC-SHA256-PAYLOAD', `${EMPTY_SHA256}\n${digest}`, signature);
  }

  /** Lines `name:value`, each with a line feed. @throws ProtocolError SignatureDoesNotMatch */
  closeTrailer(lines: string, signature: string): void {
    const digest = createHash('sha256').update(lines, 'latin1').digest('hex');
    this.#advance('AWS4-HMAC-SHA256-TRAILER', digest, signature);
  }

  #advance(algorithm: string, content: string, signature: string): void {
    const { key, time, scope } = this.#signing;
    const toSign = `${algorithm}\n${time}\n${scope}\n${this.#previous}\n${content}`;
    const expected = createHmac('sha256', key).update(toSign).digest();
    const given = Buffer.from(signature, 'hex');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new ProtocolError('SignatureDoesNotMatch', 'The signature of a chunk does not match');
    }
    this.#previous = signature;
  }
}
