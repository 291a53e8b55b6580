// @ts-check
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { encode, signedHeaders } from './s3-signature.mjs';

/** @import { IncomingMessage } from 'node:http' */
/** @import { AccessKey } from './s3-signature.mjs' */

/** @typedef {{ name: string, lengthBytes: number, md5: string }} ListedObject */

const BUCKET = 'demo';

/** The node answered with an error status. */
export class AnswerError extends Error {
  /** @override */
  name = 'AnswerError';

  /**
   * @param {number} status
   * @param {string} body
   */
  constructor(status, body) {
    super(`status ${status}: ${body.trim()}`);
    this.status = status;
  }
}

/**
 * An S3 client for one bucket of a storage node. Every method rejects with `AnswerError`, or the
 * connection's error.
 */
export class NodeClient {
  #url;
  #statusUrl;
  #key;
  #agent;

  /**
   * @param {{ url: string, statusUrl: string, key: AccessKey }} node
   * @param {number} connections
   */
  constructor({ url, statusUrl, key }, connections) {
    this.#url = new URL(url);
    this.#statusUrl = statusUrl;
    this.#key = key;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  async createBucket() {
    await bodyOf(await this.#ask('PUT', ''));
  }

  /**
   * Resolves with the MD5 that the node computed, when it has acknowledged the object.
   * @param {string} name
   * @param {AsyncIterable<Uint8Array>} bytes
   * @param {number} lengthBytes
   */
  async put(name, bytes, lengthBytes) {
    const outgoing = this.#request('PUT', name, '', { 'content-length': lengthBytes });
    const answered = once(outgoing, 'response');
    // Both fail when the connection breaks; the one that is awaited first reports it.
    answered.catch(() => undefined);
    await pipeline(bytes, outgoing);
    const [response] = await answered;
    await bodyOf(response);
    return String(response.headers.etag).replaceAll('"', '');
  }

  /**
   * The object's bytes as they arrive.
   * @param {string} name
   * @returns {AsyncGenerator<Buffer, void, undefined>}
   */
  async *get(name) {
    const response = await this.#ask('GET', name);
    if (response.statusCode === 200) yield* response;
    else await bodyOf(response);
  }

  /** All objects. @returns {AsyncGenerator<ListedObject, void, undefined>} */
  async *list() {
    /** @type {string | undefined} */
    let token = '';
    do {
      const query = `continuation-token=${encode(token)}&encoding-type=url&list-type=2`;
      const xml = await bodyOf(await this.#ask('GET', '', query));
      for (const [, object = ''] of xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        yield {
          name: decodeURIComponent(field(object, 'Key') ?? ''),
          lengthBytes: Number(field(object, 'Size')),
          md5: (field(object, 'ETag') ?? '').replaceAll('&quot;', ''),
        };
      }
      token = field(xml, 'NextContinuationToken');
    } while (token !== undefined);
  }

  /**
   * The node's figures, as on its status page.
   * @returns {Promise<{ objects: number, compaction: { retiredVolumes: number } }>}
   */
  async figures() {
    const answer = await fetch(`${this.#statusUrl}/status.json`);
    return JSON.parse(await answer.text()).figures;
  }

  close() {
    this.#agent.destroy();
  }

  /**
   * @param {string} method
   * @param {string} name
   * @param {string} [query]
   * @returns {Promise<IncomingMessage>}
   */
  async #ask(method, name, query = '') {
    const outgoing = this.#request(method, name, query, {});
    outgoing.end();
    const [response] = await once(outgoing, 'response');
    return response;
  }

  /**
   * @param {string} method
   * @param {string} name of an object, or nothing for the bucket
   * @param {string} query
   * @param {Record<string, string | number>} headers
   */
  #request(method, name, query, headers) {
    const { host, origin } = this.#url;
    const path = `/${BUCKET}${name === '' ? '' : `/${name.split('/').map(encode).join('/')}`}`;
    const signed = signedHeaders(this.#key, { method, host, path, query });
    const target = `${origin}${path}${query === '' ? '' : `?${query}`}`;
    return request(target, { method, headers: { ...headers, ...signed }, agent: this.#agent });
  }
}

/**
 * Text of the first element of this name.
 * @param {string} xml
 * @param {string} name
 */
function field(xml, name) {
  return new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(xml)?.[1];
}

/** @param {IncomingMessage} response */
async function bodyOf(response) {
  const body = await text(response);
  const status = response.statusCode ?? 0;
  if (status < 200 || status > 299) throw new AnswerError(status, body);
  return body;
}
