import type { Authenticated } from '../auth/signature-v4.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import { type ChecksumAlgorithm, checksumAlgorithm, isChecksumText } from './checksums.ts';
import { ChunkDecoder } from './chunk-decoder.ts';
import { ChunkSignatures } from './chunk-signature.ts';

/** How to read the body of a request, and what it must match. */
export interface PayloadPlan {
  /** Transferred bytes, if the client declared them. */
  readonly wireBytes?: number | undefined;
  /** Bytes of content, if the client declared them. */
  readonly contentBytes?: number | undefined;
  /** Only if the body is framed. */
  readonly decoder?: ChunkDecoder | undefined;
  /** Hexadecimal. */
  readonly sha256?: string | undefined;
  /** Base64. */
  readonly md5?: string | undefined;
  readonly checksum?:
    | {
        readonly algorithm: ChecksumAlgorithm;
        /** Base64; absent if it comes in the trailer. */
        readonly value?: string;
      }
    | undefined;
}

const CHECKSUM = 'x-amz-checksum-';
const STREAMING = /^STREAMING-(?:UNSIGNED-PAYLOAD-TRAILER|AWS4-HMAC-SHA256-PAYLOAD(?:-TRAILER)?)$/;

function lengthHeader(headers: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = headers.get(name);
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw new ProtocolError('InvalidArgument', `${name} is not a length`);
  return Number(text);
}

function md5Header(headers: ReadonlyMap<string, string>): string | undefined {
  const text = headers.get('content-md5');
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 16) throw new ProtocolError('InvalidDigest');
  return bytes.toString('base64');
}

/** Headers about checksums that are none themselves. */
const ABOUT_CHECKSUMS = new Set([
  'x-amz-checksum-algorithm',
  'x-amz-checksum-mode',
  'x-amz-checksum-type',
]);

/** The checksums in `x-amz-checksum-…` headers. @throws ProtocolError for one that is unknown */
export function sentChecksums(
  headers: ReadonlyMap<string, string>,
): { readonly algorithm: ChecksumAlgorithm; readonly value: string }[] {
  const sent: { algorithm: ChecksumAlgorithm; value: string }[] = [];
  for (const [name, value] of headers) {
    if (!name.startsWith(CHECKSUM) || ABOUT_CHECKSUMS.has(name)) continue;
    const algorithm = checksumAlgorithm(name.slice(CHECKSUM.length));
    if (algorithm === undefined) {
      throw new ProtocolError('InvalidRequest', `The checksum ${name} is not supported`);
    }
    sent.push({ algorithm, value });
  }
  return sent;
}

/** The checksums that will come in the trailer. @throws ProtocolError for anything else there */
function trailingChecksums(names: string): { algorithm: ChecksumAlgorithm }[] {
  const named: { algorithm: ChecksumAlgorithm }[] = [];
  for (const given of names.split(',')) {
    const name = given.trim();
    const match = /^x-amz-checksum-(\w+)$/.exec(name.toLowerCase());
    const algorithm = checksumAlgorithm(match?.[1] ?? '');
    if (algorithm !== undefined) named.push({ algorithm });
    else if (name !== '') {
      throw new ProtocolError('InvalidRequest', `The trailer ${name} is not supported`);
    }
  }
  return named;
}

function checksumHeader(headers: ReadonlyMap<string, string>): PayloadPlan['checksum'] {
  const named: { algorithm: ChecksumAlgorithm; value?: string }[] = [];
  for (const { algorithm, value } of sentChecksums(headers)) {
    if (!isChecksumText(algorithm, value)) {
      const name = `${CHECKSUM}${algorithm.toLowerCase()}`;
      throw new ProtocolError('InvalidRequest', `Value for ${name} header is invalid.`);
    }
    named.push({ algorithm, value });
  }
  const trailer = headers.get('x-amz-trailer');
  if (trailer !== undefined) named.push(...trailingChecksums(trailer));
  if (named.length > 1) {
    const text =
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.';
    throw new ProtocolError('InvalidRequest', text);
  }
  return named[0];
}

/** The algorithm that a client names must be that of the checksum that it sends. */
function assertNamedAlgorithm(
  headers: ReadonlyMap<string, string>,
  checksum: PayloadPlan['checksum'],
): void {
  const named = headers.get('x-amz-sdk-checksum-algorithm');
  if (named === undefined) return;
  const algorithm = checksumAlgorithm(named);
  if (algorithm === undefined) {
    throw new ProtocolError('InvalidRequest', `The checksum algorithm ${named} is not supported`);
  }
  if (checksum === undefined || checksum.algorithm === algorithm) return;
  const text = 'Value for x-amz-sdk-checksum-algorithm header does not match the checksum sent';
  throw new ProtocolError('InvalidRequest', text);
}

function decoderOf(
  mode: string,
  contentBytes: number,
  { signing }: Authenticated,
  checksum: PayloadPlan['checksum'],
): ChunkDecoder {
  const hasTrailer = mode.endsWith('-TRAILER');
  if (checksum !== undefined && checksum.value === undefined && !hasTrailer) {
    throw new ProtocolError('InvalidRequest', 'x-amz-trailer needs a payload with a trailer');
  }
  if (mode.startsWith('STREAMING-UNSIGNED')) return new ChunkDecoder({ hasTrailer, contentBytes });
  if (signing === undefined) {
    throw new ProtocolError('InvalidRequest', 'Signed chunks need a request signed by version 4');
  }
  const signatures = new ChunkSignatures(signing);
  return new ChunkDecoder({ signatures, hasTrailer, contentBytes });
}

/**
 * Reads the headers about the body. Only `x-amz-content-sha256: STREAMING-…` means framing:
 * `Content-Encoding: aws-chunked` alone does not, whatever clients send.
 */
export function planPayload(
  headers: ReadonlyMap<string, string>,
  authenticated: Authenticated,
): PayloadPlan {
  const mode = authenticated.contentSha256;
  const wireBytes = lengthHeader(headers, 'content-length');
  const md5 = md5Header(headers);
  const checksum = checksumHeader(headers);
  assertNamedAlgorithm(headers, checksum);
  if (mode.startsWith('STREAMING-')) {
    if (!STREAMING.test(mode)) {
      throw new ProtocolError('NotImplemented', `The payload mode ${mode} is not implemented`);
    }
    const contentBytes = lengthHeader(headers, 'x-amz-decoded-content-length');
    if (contentBytes === undefined) {
      const text = 'You must provide the x-amz-decoded-content-length HTTP header';
      throw new ProtocolError('MissingContentLength', text);
    }
    const decoder = decoderOf(mode, contentBytes, authenticated, checksum);
    return { wireBytes, contentBytes, decoder, sha256: undefined, md5, checksum };
  }
  if (checksum !== undefined && checksum.value === undefined) {
    throw new ProtocolError('InvalidRequest', 'x-amz-trailer needs a payload with a trailer');
  }
  const isSigned = mode !== 'UNSIGNED-PAYLOAD';
  if (isSigned && !/^[0-9a-f]{64}$/i.test(mode)) {
    const text =
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-… or a valid sha256 value.';
    throw new ProtocolError('InvalidArgument', text);
  }
  const sha256 = isSigned ? mode.toLowerCase() : undefined;
  return { wireBytes, contentBytes: wireBytes, decoder: undefined, sha256, md5, checksum };
}
