import { JoinedPieces } from '../../joined-pieces.ts';
import type { Body } from '../../object-node.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import { BodyDigest, type BodyDigests } from './body-digest.ts';
import type { BodyReader } from './body-reader.ts';
import { type ChecksumAlgorithm, isChecksumText } from './checksums.ts';
import type { PayloadPlan } from './payload-plan.ts';
import { turnPace } from './turn-pace.ts';

/** A body up to this size is buffered, because streaming it costs more than it saves. */
const GATHERED_BYTES = 128 * 1024;
/** Of a longer body that is being read: a piece from the socket. What waits counts besides. */
const PIECE_BYTES = 64 * 1024;

/** The memory that a body takes while it is read, whatever its client does. */
export function memoryOf({ wireBytes = Infinity }: PayloadPlan): number {
  return wireBytes > GATHERED_BYTES ? PIECE_BYTES : wireBytes;
}

/** A body after it was read; everything that the client declared about it has been verified. */
export interface VerifiedBody extends BodyDigests {
  /** Base64 of the checksum that the client sent in a header or in the trailer. */
  readonly sent?: { readonly algorithm: ChecksumAlgorithm; readonly value: string };
}

/**
 * The content of one request, without framing. Digests are computed while it passes. Nothing may be
 * published before `verify` resolves.
 */
export class RequestBody {
  readonly #reader: BodyReader;
  readonly #plan: PayloadPlan;
  readonly #digest: BodyDigest;
  readonly #maxBytes: number;
  #trailer: ReadonlyMap<string, string> = new Map();
  #contentBytes = 0;

  constructor(
    reader: BodyReader,
    plan: PayloadPlan,
    maxBytes: number,
    further: readonly ChecksumAlgorithm[] = [],
  ) {
    if ((plan.contentBytes ?? 0) > maxBytes) throw new ProtocolError('EntityTooLarge');
    this.#reader = reader;
    this.#plan = plan;
    this.#maxBytes = maxBytes;
    const own = plan.checksum === undefined ? [] : [plan.checksum.algorithm];
    const algorithms = [...new Set([...own, ...further])];
    this.#digest = new BodyDigest({ sha256: plan.sha256 !== undefined, algorithms });
  }

  get sizeBytes(): number | undefined {
    return this.#plan.contentBytes;
  }

  /** Called once. A small body is complete when it resolves; a large one streams. */
  async content(): Promise<Body> {
    const wireBytes = this.#plan.wireBytes;
    if (wireBytes === 0 && this.#plan.decoder === undefined) return [];
    if (wireBytes === undefined || wireBytes > GATHERED_BYTES) return this.#stream();
    return this.#gather();
  }

  /** Called once, after the last byte of the content. @throws ProtocolError for any mismatch. */
  async verify(): Promise<VerifiedBody> {
    const digests = await this.#digest.finish();
    const { contentBytes, sha256, md5, checksum } = this.#plan;
    if (contentBytes !== undefined && digests.sizeBytes !== contentBytes) {
      throw new ProtocolError('IncompleteBody');
    }
    if (sha256 !== undefined && digests.sha256?.toString('hex') !== sha256) {
      throw new ProtocolError('XAmzContentSHA256Mismatch');
    }
    if (md5 !== undefined && digests.md5.toString('base64') !== md5) {
      throw new ProtocolError('BadDigest', 'The Content-MD5 you specified did not match the body');
    }
    this.#assertDeclared();
    if (checksum === undefined) return digests;
    const value = checksum.value ?? this.#trailingChecksum(checksum.algorithm);
    if (digests.checksums.get(checksum.algorithm)?.toString('base64') !== value) {
      const text = `The ${checksum.algorithm} you specified did not match the calculated checksum.`;
      throw new ProtocolError('BadDigest', text);
    }
    return { ...digests, sent: { algorithm: checksum.algorithm, value } };
  }

  /** @throws ProtocolError for a checksum in the trailer that would not be compared. */
  #assertDeclared(): void {
    const { checksum } = this.#plan;
    const declared = checksum?.value === undefined ? checksum?.algorithm.toLowerCase() : undefined;
    for (const name of this.#trailer.keys()) {
      if (!name.startsWith('x-amz-checksum-') || name === `x-amz-checksum-${declared}`) continue;
      const text = `x-amz-trailer does not declare ${name}`;
      throw new ProtocolError('MalformedTrailerError', text);
    }
  }

  #trailingChecksum(algorithm: ChecksumAlgorithm): string {
    const value = this.#trailer.get(`x-amz-checksum-${algorithm.toLowerCase()}`);
    if (value === undefined) throw new ProtocolError('MalformedTrailerError');
    if (!isChecksumText(algorithm, value)) {
      throw new ProtocolError(
        'InvalidRequest',
        'Value for the checksum in the trailer is invalid.',
      );
    }
    return value;
  }

  /** As `#stream`, without what a generator costs. */
  async #gather(): Promise<Uint8Array[]> {
    const pieces = new JoinedPieces();
    for (;;) {
      const bytes = await this.#reader.next();
      if (bytes === undefined) break;
      for (const piece of this.#decode(bytes)) {
        const turn = this.#admit(piece);
        if (turn !== undefined) await turn;
        this.#digest.update(piece);
        pieces.push(piece);
      }
    }
    this.#end();
    return pieces.take();
  }

  async *#stream(): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const bytes = await this.#reader.next();
      if (bytes === undefined) break;
      for (const piece of this.#decode(bytes)) {
        const turn = this.#admit(piece);
        if (turn !== undefined) await turn;
        this.#digest.update(piece);
        yield piece;
      }
    }
    this.#end();
  }

  /** The content in received bytes. */
  #decode(bytes: Uint8Array): readonly Uint8Array[] {
    const { decoder } = this.#plan;
    if (decoder === undefined) return [bytes];
    const pieces = new JoinedPieces();
    decoder.push(bytes, pieces);
    return pieces.take();
  }

  /** Counts a piece. Undefined: it may be digested at once. @throws ProtocolError */
  #admit(piece: Uint8Array): Promise<void> | undefined {
    this.#contentBytes += piece.length;
    if (this.#contentBytes > this.#maxBytes) throw new ProtocolError('EntityTooLarge');
    return turnPace.take(piece.length * this.#digest.slowDigests);
  }

  #end(): void {
    const { decoder } = this.#plan;
    if (decoder !== undefined) this.#trailer = decoder.end();
  }
}
