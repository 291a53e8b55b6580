import { ProtocolError } from '../base/protocol-error.ts';
import type { ChunkSignatures } from './chunk-signature.ts';

/** `fffff;chunk-signature=` and 64 digits are 86 bytes. */
const MAX_SIZE_LINE_BYTES = 256;
const MAX_TRAILER_BYTES = 4096;

const LF = 0x0a;

export interface ChunkDecoderOptions {
  /** Only if chunks are signed. */
  readonly signatures?: ChunkSignatures;
  readonly hasTrailer: boolean;
  /** The client's `x-amz-decoded-content-length`. */
  readonly contentBytes: number;
}

/** Receives the content, piece by piece. */
export interface PieceSink {
  push(piece: Uint8Array): unknown;
}

/**
 * Decodes the `aws-chunked` framing: `SIZE[;chunk-signature=…] CRLF data CRLF`, a chunk of size 0,
 * then trailer lines if the request has a trailer. Copies no content: pieces are views of the
 * pushed bytes, in order. Content is passed on before the signature of its chunk is verified, so
 * nothing may be published before `end`.
 */
export class ChunkDecoder {
  readonly #options: ChunkDecoderOptions;
  #state: 'size' | 'data' | 'data-end' | 'trailer' | 'ended' = 'size';
  /** Bytes of an incomplete line, or of the trailer. */
  #line: Buffer = Buffer.alloc(0);
  #chunkLeft = 0;
  #contentLeft: number;
  #signature = '';

  constructor(options: ChunkDecoderOptions) {
    this.#options = options;
    this.#contentLeft = options.contentBytes;
  }

  /**
   * @throws ProtocolError for invalid framing, a wrong signature, or more content than declared.
   */
  push(bytes: Uint8Array, pieces: PieceSink): void {
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case 'size':
          at = this.#readSize(bytes, at);
          break;
        case 'data':
          at = this.#readData(bytes, at, pieces);
          break;
        case 'data-end':
          at = this.#readDataEnd(bytes, at);
          break;
        case 'trailer':
          this.#gather(bytes.subarray(at), MAX_TRAILER_BYTES, 'MalformedTrailerError');
          at = bytes.length;
          break;
        case 'ended':
          throw new ProtocolError('IncompleteBody', 'There are bytes after the last chunk');
      }
    }
  }

  /** Called once, at the end of the body. Returns the trailer, with lower-case names. */
  end(): ReadonlyMap<string, string> {
    if (this.#state !== 'trailer') {
      throw new ProtocolError('IncompleteBody', 'The body ended before its last chunk');
    }
    this.#state = 'ended';
    if (this.#contentLeft > 0) throw new ProtocolError('IncompleteBody');
    return this.#readTrailer(this.#line.toString('latin1'));
  }

  #readSize(bytes: Uint8Array, from: number): number {
    const end = bytes.indexOf(LF, from);
    const until = end < 0 ? bytes.length : end + 1;
    this.#gather(bytes.subarray(from, until), MAX_SIZE_LINE_BYTES, 'InvalidRequest');
    if (end >= 0) this.#openChunk(this.#takeLine());
    return until;
  }

  #openChunk(line: string): void {
    const match = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?\r\n$/.exec(line);
    const [, digits, signature] = match ?? [];
    const isSigned = this.#options.signatures !== undefined;
    if (digits === undefined || isSigned !== (signature !== undefined)) {
      throw new ProtocolError('InvalidRequest', 'A chunk of the body has a malformed first line');
    }
    const size = Number.parseInt(digits, 16);
    if (size > this.#contentLeft) {
      const text = 'The body is longer than its x-amz-decoded-content-length';
      throw new ProtocolError('IncompleteBody', text);
    }
    this.#signature = signature ?? '';
    this.#chunkLeft = size;
    if (size > 0) {
      this.#state = 'data';
      return;
    }
    this.#options.signatures?.closeChunk(this.#signature);
    this.#state = 'trailer';
  }

  #readData(bytes: Uint8Array, from: number, pieces: PieceSink): number {
    const piece = bytes.subarray(from, from + this.#chunkLeft);
    this.#options.signatures?.update(piece);
    pieces.push(piece);
    this.#chunkLeft -= piece.length;
    this.#contentLeft -= piece.length;
    if (this.#chunkLeft === 0) {
      this.#options.signatures?.closeChunk(this.#signature);
      this.#state = 'data-end';
    }
    return from + piece.length;
  }

  #readDataEnd(bytes: Uint8Array, from: number): number {
    const until = Math.min(bytes.length, from + 2 - this.#line.length);
    this.#gather(bytes.subarray(from, until), 2, 'InvalidRequest');
    if (this.#line.length === 2) {
      if (this.#takeLine() !== '\r\n') {
        throw new ProtocolError(
          'InvalidRequest',
          'A chunk of the body differs from its declared size',
        );
      }
      this.#state = 'size';
    }
    return until;
  }

  /** Skips empty lines: some clients put one before a trailer's signature. */
  #readTrailer(text: string): Map<string, string> {
    const trailer = new Map<string, string>();
    const { signatures, hasTrailer } = this.#options;
    let signature: string | undefined;
    let covered = '';
    for (const line of text.split(/\r?\n/)) {
      if (line === '') continue;
      const match = /^([A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}):[ \t]*([\x20-\x7e]*?)[ \t]*$/.exec(line);
      const [, name, value] = match ?? [];
      if (name === undefined || value === undefined || !hasTrailer || signature !== undefined) {
        throw new ProtocolError('MalformedTrailerError');
      }
      if (name.toLowerCase() === 'x-amz-trailer-signature') signature = value;
      else {
        trailer.set(name.toLowerCase(), value);
        covered += `${name.toLowerCase()}:${value}\n`;
      }
    }
    if (signatures !== undefined && hasTrailer) {
      if (signature === undefined) throw new ProtocolError('MalformedTrailerError');
      signatures.closeTrailer(covered, signature);
    }
    return trailer;
  }

  #gather(
    bytes: Uint8Array,
    limit: number,
    code: 'InvalidRequest' | 'MalformedTrailerError',
  ): void {
    if (this.#line.length + bytes.length > limit) {
      throw new ProtocolError(code, 'A line of the body framing is too long');
    }
    this.#line = Buffer.concat([this.#line, bytes]);
  }

  #takeLine(): string {
    const line = this.#line.toString('latin1');
    this.#line = Buffer.alloc(0);
    return line;
  }
}
