import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';

export const KEY = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfi' };

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** `Code` in the XML of an error. */
  readonly code: string | undefined;
}

export interface SignedRequest {
  readonly method: string;
  /** Path and query, encoded for SigV4. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly contentSha256?: string;
  /** Default: `KEY`. */
  readonly key?: typeof KEY;
}

const sha256 = (data: string | Uint8Array): string =>
  createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string): Buffer =>
  createHmac('sha256', key).update(data).digest();

function signingKey(secret: string, scope: string): Buffer {
  let key: Buffer = Buffer.from(`AWS4${secret}`);
  for (const step of scope.split('/')) key = hmac(key, step);
  return key;
}

/**
 * A link to an object, of which only the host is signed, and what it says of the body. `target` has
 * no query; further parameters are encoded.
 */
export function presign(
  host: string,
  method: string,
  target: string,
  expiresS: number,
  contentSha256?: string,
  further: readonly string[] = [],
): string {
  const time = `${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const query = [
    'X-Amz-Algorithm=AWS4-HMAC-SHA256',
    ...(contentSha256 === undefined ? [] : [`X-Amz-Content-Sha256=${contentSha256}`]),
    `X-Amz-Credential=${encodeURIComponent(`${KEY.accessKeyId}/${scope}`)}`,
    `X-Amz-Date=${time}`,
    `X-Amz-Expires=${expiresS}`,
    'X-Amz-SignedHeaders=host',
    ...further,
  ]
    .sort()
    .join('&');
  const payload = contentSha256 ?? 'UNSIGNED-PAYLOAD';
  const canonical = [method, target, query, `host:${host}`, '', 'host', payload];
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical.join('\n'))}`;
  const signature = hmac(signingKey(KEY.secretAccessKey, scope), toSign).toString('hex');
  return `${target}?${query}&X-Amz-Signature=${signature}`;
}

/** The headers of a request, signed with the tests' key by an independent implementation. */
export function signHeaders(host: string, asked: SignedRequest): Record<string, string> {
  const time = `${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
  const day = time.slice(0, 8);
  const contentSha256 = asked.contentSha256 ?? sha256(asked.body ?? '');
  const headers: Record<string, string> = {
    host,
    'x-amz-date': time,
    'x-amz-content-sha256': contentSha256,
    ...asked.headers,
  };
  const signed = Object.keys(headers)
    .map((name) => name.toLowerCase())
    .filter((name) => name === 'host' || name.startsWith('x-amz-'))
    .sort();
  const byName = new Map(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const [path = '', query = ''] = asked.target.split('?');
  const pairs = query === '' ? [] : query.split('&').map((p) => (p.includes('=') ? p : `${p}=`));
  const canonical = [
    asked.method,
    path,
    pairs.sort().join('&'),
    ...signed.map((name) => `${name}:${byName.get(name)}`),
    '',
    signed.join(';'),
    contentSha256,
  ].join('\n');
  const scope = `${day}/us-east-1/s3/aws4_request`;
  const { accessKeyId, secretAccessKey } = asked.key ?? KEY;
  const key = signingKey(secretAccessKey, scope);
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`;
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${signed.join(';')}, ` +
    `Signature=${hmac(key, toSign).toString('hex')}`;
  return headers;
}

/** A signed request as it is sent. Its body is text. */
export function requestText(
  url: string,
  asked: SignedRequest & { readonly body?: string },
): string {
  const { method, target, body = '' } = asked;
  const length = body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const headers = { ...signHeaders(new URL(url).host, asked), ...length };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

export async function send(url: string, asked: SignedRequest): Promise<Answer> {
  const { host } = new URL(url);
  const outgoing = request(`${url}${asked.target}`, {
    method: asked.method,
    headers: signHeaders(host, asked),
  });
  outgoing.end(asked.body);
  return answerOf(((await once(outgoing, 'response')) as [IncomingMessage])[0]);
}

export async function answerOf(response: IncomingMessage): Promise<Answer> {
  const body = await text(response);
  const code = /<Code>(\w+)<\/Code>/.exec(body)?.[1];
  return { status: response.statusCode ?? 0, headers: response.headers, body, code };
}
