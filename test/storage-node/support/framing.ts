import { createHash, createHmac } from 'node:crypto';
import { ChunkDecoder } from '../../../examples/storage-node/src/s3/payload/chunk-decoder.ts';
import { ChunkSignatures } from '../../../examples/storage-node/src/s3/payload/chunk-signature.ts';
import type { SigningContext } from '../../../examples/storage-node/src/s3/auth/signature-v4.ts';
import { AccessKeys } from '../../../examples/storage-node/src/s3/auth/access-keys.ts';

/** The example of the S3 documentation: 65 KiB of `a`, in chunks of 64 KiB. */
export const DOCUMENTED_SIGNING: SigningContext = {
  key: new AccessKeys([
    {
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    },
  ]).signingKey('AKIAIOSFODNN7EXAMPLE', '20130524', 'us-east-1')!,
  time: '20130524T000000Z',
  scope: '20130524/us-east-1/s3/aws4_request',
  signature: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
};

export function documentedBody(): Buffer {
  const chunk = (size: string, signature: string, length: number): string =>
    `${size};chunk-signature=${signature}\r\n${'a'.repeat(length)}\r\n`;
  return Buffer.from(
    chunk('10000', 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648', 65536) +
      chunk('400', '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497', 1024) +
      chunk('0', 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9', 0),
  );
}

export interface Decoded {
  readonly content: Buffer;
  readonly trailer: ReadonlyMap<string, string>;
}

/** Decodes a body that arrives in these pieces. */
export function decode(
  pieces: readonly Uint8Array[],
  options: {
    readonly contentBytes: number;
    readonly hasTrailer?: boolean;
    readonly signing?: SigningContext;
  },
): Decoded {
  const { signing, contentBytes, hasTrailer = false } = options;
  const decoder = new ChunkDecoder({
    contentBytes,
    hasTrailer,
    ...(signing !== undefined && { signatures: new ChunkSignatures(signing) }),
  });
  const content: Uint8Array[] = [];
  for (const piece of pieces) decoder.push(piece, content);
  return { trailer: decoder.end(), content: Buffer.concat(content) };
}

/** A body of signed chunks with a signed trailer, by the documentation of S3. */
export function signedFrame(
  chunks: readonly Uint8Array[],
  trailer: readonly (readonly [name: string, value: string])[],
  { key, time, scope, signature }: SigningContext,
): Buffer {
  const sha256 = (data: string | Uint8Array): string =>
    createHash('sha256').update(data).digest('hex');
  let previous = signature;
  const sign = (kind: string, rest: string): string => {
    const text = `AWS4-HMAC-SHA256-${kind}\n${time}\n${scope}\n${previous}\n${rest}`;
    previous = createHmac('sha256', key).update(text).digest('hex');
    return previous;
  };
  const pieces: Uint8Array[] = [];
  for (const chunk of [...chunks, new Uint8Array()]) {
    const own = sign('PAYLOAD', `${sha256('')}\n${sha256(chunk)}`);
    pieces.push(Buffer.from(`${chunk.length.toString(16)};chunk-signature=${own}\r\n`), chunk);
    if (chunk.length > 0) pieces.push(Buffer.from('\r\n'));
  }
  const lines = trailer.map(([name, value]) => `${name}:${value}\n`).join('');
  const last = sign('TRAILER', sha256(lines));
  const wire = trailer.map(([name, value]) => `${name}:${value}\r\n`).join('');
  pieces.push(Buffer.from(`${wire}x-amz-trailer-signature:${last}\r\n\r\n`));
  return Buffer.concat(pieces);
}

/** Frames a body without signatures. */
export function frame(chunks: readonly Uint8Array[], trailer = '\r\n'): Buffer {
  const framed = chunks.flatMap((chunk) => [
    Buffer.from(`${chunk.length.toString(16)}\r\n`),
    chunk,
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...framed, Buffer.from(`0\r\n${trailer}`)]);
}
