// @ts-check
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

/** @import { IncomingMessage } from 'node:http' */

/** @typedef {{ name: string, lengthBytes: number, sha256: string }} ListedObject */

/** The node answered, but not with success. */
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
 * Speaks HTTP with a storage node. Every method rejects with `AnswerError`, or the connection's
 * error.
 */
export class NodeClient {
  #url;
  #agent;

  /**
   * @param {string} url
   * @param {number} connections
   */
  constructor(url, connections) {
    this.#url = url;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /**
   * Resolves with the entity tag when the node has acknowledged the object.
   * @param {string} name
   * @param {AsyncIterable<Uint8Array>} bytes
   * @param {number} lengthBytes
   */
  async put(name, bytes, lengthBytes) {
    const headers = { 'content-length': lengthBytes };
    const outgoing = this.#request('PUT', pathOf(name), headers);
    const answered = once(outgoing, 'response');
    // Both fail when the connection breaks; the first to be awaited tells.
    answered.catch(() => undefined);
    await pipeline(bytes, outgoing);
    const [response] = await answered;
    await bodyOf(response);
    return String(response.headers.etag);
  }

  /**
   * The object's bytes as they come.
   * @param {string} name
   * @returns {AsyncGenerator<Buffer, void, undefined>}
   */
  async *get(name) {
    const response = await this.#read(pathOf(name));
    if (response.statusCode === 200) yield* response;
    else await bodyOf(response);
  }

  /** All objects. @returns {AsyncGenerator<ListedObject, void, undefined>} */
  async *list() {
    for (let after = ''; ;) {
      const page = await this.json(`/?after=${after}`);
      yield* page.objects;
      if (page.next === null) return;
      after = page.next;
    }
  }

  /** @param {string} path */
  async json(path) {
    return JSON.parse(await bodyOf(await this.#read(path)));
  }

  close() {
    this.#agent.destroy();
  }

  /**
   * @param {string} path
   * @returns {Promise<IncomingMessage>}
   */
  async #read(path) {
    const outgoing = this.#request('GET', path, {});
    outgoing.end();
    const [response] = await once(outgoing, 'response');
    return response;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, string | number>} headers
   */
  #request(method, path, headers) {
    return request(this.#url + path, { method, headers, agent: this.#agent });
  }
}

/** @param {string} name */
function pathOf(name) {
  return `/objects/${name.split('/').map(encodeURIComponent).join('/')}`;
}

/** @param {IncomingMessage} response */
async function bodyOf(response) {
  const body = await text(response);
  const status = response.statusCode ?? 0;
  if (status < 200 || status > 299) throw new AnswerError(status, body);
  return body;
}
