import { ProtocolError } from '../base/protocol-error.ts';

export interface Scope {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
  readonly text: string;
}

export type Malformed = 'AuthorizationHeaderMalformed' | 'AuthorizationQueryParametersError';

/** What an `Authorization` header says besides the signature: the same for many requests. */
export interface Claim {
  readonly scope: Scope;
  /** In the client's order, which the signature uses. */
  readonly signedHeaders: readonly string[];
}

export interface AuthorizationHeader extends Claim {
  readonly signature: string;
  /** The claim is that of a verified request. */
  readonly isKnown: boolean;
}

export const ALGORITHM_V4 = 'AWS4-HMAC-SHA256';

/** `KEY/YYYYMMDD/REGION/s3/aws4_request`; the key itself may contain slashes. */
export function parseScope(credential: string, malformed: Malformed): Scope {
  const match = /^(.{1,128})\/(\d{8})\/([\w-]{1,64})\/(\w+)\/aws4_request$/.exec(credential);
  const [, accessKeyId, day, region, service] = match ?? [];
  if (accessKeyId === undefined || day === undefined || region === undefined) {
    throw new ProtocolError(
      malformed,
      'The credential must be KEY/YYYYMMDD/REGION/s3/aws4_request',
    );
  }
  if (service !== 's3')
    throw new ProtocolError(malformed, 'The service of a credential must be s3');
  return { accessKeyId, day, region, text: `${day}/${region}/s3/aws4_request` };
}

/** Names in the client's order, which the signature uses. */
export function parseSignedHeaders(text: string, malformed: Malformed): string[] {
  const names = text.split(';');
  if (names.some((name) => !/^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(name))) {
    throw new ProtocolError(malformed, 'SignedHeaders must be lower-case names, divided by ;');
  }
  return names;
}

const SIGNATURE = 'Signature=';
const HEX = /^[0-9a-f]{64}$/;

/** Limits what clients may let the server remember. */
const MOST_KNOWN = 256;
const MOST_KNOWN_CHARS = 1024;

/**
 * Parses `Authorization` headers. The claims of verified requests are known by their text, because
 * a client sends the same one all day, and parsing it takes longer than its digest.
 */
export class AuthorizationHeaders {
  readonly #known = new Map<string, Claim>();

  get known(): number {
    return this.#known.size;
  }

  /** @throws ProtocolError AuthorizationHeaderMalformed */
  parse(text: string): AuthorizationHeader {
    const at = text.length - 64;
    const signature = text.slice(at);
    const claim = this.#known.get(text.slice(0, at));
    if (claim === undefined || !HEX.test(signature)) return parseHeader(text);
    return { scope: claim.scope, signedHeaders: claim.signedHeaders, signature, isKnown: true };
  }

  /** Remembers the claim of a request whose signature was verified. */
  keep(text: string, { scope, signedHeaders, signature }: AuthorizationHeader): void {
    const end = SIGNATURE + signature;
    // Elsewhere in the text, the signature does not tell where the claim ends.
    if (!HEX.test(signature) || !text.endsWith(end) || text.length > MOST_KNOWN_CHARS) return;
    const claim = text.slice(0, text.length - signature.length);
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    this.#known.set(claim, { scope, signedHeaders });
  }
}

function parseHeader(text: string): AuthorizationHeader {
  const malformed = 'AuthorizationHeaderMalformed';
  const fields = new Map<string, string>();
  for (const piece of text.slice(ALGORITHM_V4.length).split(',')) {
    const [, name, value] = /^\s*(\w+)=(\S+)\s*$/.exec(piece) ?? [];
    if (name !== undefined && value !== undefined) fields.set(name, value);
  }
  const [credential, list, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) =>
    fields.get(name),
  );
  if (credential === undefined || list === undefined || signature === undefined) {
    throw new ProtocolError(malformed, 'Credential, SignedHeaders and Signature are needed');
  }
  const scope = parseScope(credential, malformed);
  const signedHeaders = parseSignedHeaders(list, malformed);
  return { scope, signedHeaders, signature, isKnown: false };
}
