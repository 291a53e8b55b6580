import type { IncomingMessage } from 'node:http';
import { joinedHeaders } from '../auth/headers-in-query.ts';
import type { RequestHead } from '../auth/request-head.ts';
import { parseQuery, type QueryPair, uriDecode } from '../auth/uri-text.ts';
import type { S3Limits } from '../base/limits.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import { bucketOfHost } from './bucket-host.ts';

/** The parsed head of a request. The bucket comes from its path, or from its host name. */
export class S3Request implements RequestHead {
  readonly method: string;
  readonly rawPath: string;
  readonly path: string;
  readonly query: readonly QueryPair[];
  readonly hostBucket: string | undefined;
  /** `undefined` for the service itself. */
  readonly bucket: string | undefined;
  /** `undefined` for a bucket. */
  readonly key: string | undefined;
  readonly #values: ReadonlyMap<string, string>;
  #headers: ReadonlyMap<string, string>;

  /**
   * `domains`: names of hosts that may have a bucket in front.
   *
   * @throws ProtocolError InvalidURI, InvalidRequest, KeyTooLongError, RequestHeaderSectionTooLarge
   */
  constructor(message: IncomingMessage, limits: S3Limits, domains: readonly string[]) {
    this.method = message.method ?? '';
    this.#headers = headersOf(message.rawHeaders, limits.maxHeaders);
    const target = targetOf(message.url ?? '');
    const mark = target.indexOf('?');
    this.rawPath = mark < 0 ? target : target.slice(0, mark);
    this.query = parseQuery(mark < 0 ? '' : target.slice(mark + 1));
    const values = new Map<string, string>();
    for (const [name, value] of this.query) if (!values.has(name)) values.set(name, value);
    this.#values = values;
    this.path = uriDecode(this.rawPath);
    this.hostBucket = bucketOfHost(this.#headers.get('host'), domains);
    const resource = this.hostBucket === undefined ? this.path : `/${this.hostBucket}${this.path}`;
    const slash = resource.indexOf('/', 1);
    const bucket = slash < 0 ? resource.slice(1) : resource.slice(1, slash);
    const key = slash < 0 ? '' : resource.slice(slash + 1);
    this.bucket = resource === '/' ? undefined : bucket;
    this.key = key === '' ? undefined : key;
    if (Buffer.byteLength(key) > limits.maxKeyBytes) throw new ProtocolError('KeyTooLongError');
  }

  /** The first value of this name; `undefined` if there is none. */
  queryValue(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** As received, until `joinHeadersOfQuery`. */
  get headers(): ReadonlyMap<string, string> {
    return this.#headers;
  }

  header(name: string): string | undefined {
    return this.#headers.get(name);
  }

  /**
   * From then on, the `x-amz-` parameters of the query count as headers. Called when the signature
   * has been verified, because it distinguishes the two.
   *
   * @throws ProtocolError InvalidArgument
   */
  joinHeadersOfQuery(): void {
    this.#headers = joinedHeaders(this);
  }
}

function targetOf(url: string): string {
  // The absolute form, which proxies send.
  const target = url.replace(/^https?:\/\/[^/?]*/i, '');
  if (!/^\/[\x21-\x7e]*$/.test(target)) throw new ProtocolError('InvalidURI');
  return target;
}

function headersOf(raw: readonly string[], maxHeaders: number): Map<string, string> {
  if (raw.length / 2 > maxHeaders) throw new ProtocolError('RequestHeaderSectionTooLarge');
  const headers = new Map<string, string>();
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase();
    const value = raw[at + 1] ?? '';
    const former = headers.get(name);
    headers.set(name, former === undefined ? value : `${former},${value}`);
  }
  return headers;
}
