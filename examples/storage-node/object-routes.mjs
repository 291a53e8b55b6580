// @ts-check
import { pipeline } from 'node:stream/promises';
import { parseRange } from './byte-range.mjs';
import { RequestFailure } from './failure.mjs';
import { expectedChecksums } from './request-checksum.mjs';
import { tooLarge } from './upload.mjs';

/** @import { IncomingMessage, ServerResponse } from 'node:http' */
/** @import { Metrics } from './metrics.mjs' */
/** @import { StoredObject } from './object-record.mjs' */
/** @import { ObjectStore } from './object-store.mjs' */

/**
 * @typedef {object} NodeParts
 * @property {ObjectStore} objects
 * @property {Metrics} metrics
 */

const MAX_CONTENT_TYPE_BYTES = 255;

/** Answers requests for `/objects/<name>`. */
export class ObjectRoutes {
  #objects;
  #metrics;
  #limits;
  #uploads = 0;

  /**
   * @param {NodeParts} node
   * @param {{ maxObjectBytes: number, maxUploads: number }} limits
   */
  constructor({ objects, metrics }, limits) {
    this.#objects = objects;
    this.#metrics = metrics;
    this.#limits = limits;
  }

  /**
   * @param {string} name
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async answer(name, request, response) {
    if (request.method === 'PUT') return this.#put(name, request, response);
    if (request.method === 'GET') return this.#get(name, request, response);
    if (request.method === 'HEAD') return this.#head(name, response);
    if (request.method === 'DELETE') return this.#delete(name, response);
    const headers = { allow: 'GET, HEAD, PUT, DELETE' };
    throw new RequestFailure(405, 'method-not-allowed', 'not a method of objects', { headers });
  }

  /**
   * @param {string} name
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #put(name, request, response) {
    const { maxObjectBytes: limitBytes, maxUploads } = this.#limits;
    const contentType = request.headers['content-type'] ?? 'application/octet-stream';
    if (Buffer.byteLength(contentType) > MAX_CONTENT_TYPE_BYTES) {
      throw new RequestFailure(400, 'bad-content-type', 'the content type is too long');
    }
    if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
    const expected = expectedChecksums(request.headers);
    if (this.#uploads >= maxUploads) {
      const headers = { 'retry-after': '1' };
      throw new RequestFailure(503, 'busy', 'too many uploads at once', { headers });
    }
    this.#uploads++;
    try {
      if (request.headers.expect !== undefined) response.writeContinue();
      const options = { contentType, limitBytes, expected };
      const { object, isReplaced } = await this.#objects.put(name, this.#body(request), options);
      const headers = { etag: etagOf(object), 'content-length': 0 };
      response.writeHead(isReplaced ? 200 : 201, headers).end();
    } finally {
      this.#uploads--;
    }
  }

  /** @param {IncomingMessage} request */
  async *#body(request) {
    // Given up halfway, the request must live on for its answer.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      this.#metrics.receivedBytes += chunk.length;
      yield chunk;
    }
  }

  /**
   * @param {string} name
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #get(name, request, response) {
    const object = this.#find(name);
    const { lengthBytes } = object;
    const range = parseRange(rangeHeader(request, object), lengthBytes);
    if (range === 'unsatisfiable') {
      const headers = { 'content-range': `bytes */${lengthBytes}` };
      const message = `the object has ${lengthBytes} bytes`;
      throw new RequestFailure(416, 'range-not-satisfiable', message, { headers });
    }
    const { from, to } = range ?? { from: 0, to: lengthBytes };
    const pieces = this.#objects.read(object, from, to);
    // Damage in the first piece, which is all of a small object, is still told with a status.
    const first = await pieces.next();
    response.writeHead(range === undefined ? 200 : 206, {
      ...headersOf(object),
      'content-length': to - from,
      ...(range && { 'content-range': `bytes ${from}-${to - 1}/${lengthBytes}` }),
    });
    // An error after this point can only cut the connection: the client misses bytes and knows it.
    await pipeline(this.#sent(first, pieces), response);
  }

  /**
   * @param {IteratorResult<Buffer, void>} first
   * @param {AsyncGenerator<Buffer, void>} pieces
   */
  async *#sent(first, pieces) {
    for (let next = first; next.done !== true; next = await pieces.next()) {
      this.#metrics.sentBytes += next.value.length;
      yield next.value;
    }
  }

  /**
   * @param {string} name
   * @param {ServerResponse} response
   */
  #head(name, response) {
    const object = this.#find(name);
    response.writeHead(200, { ...headersOf(object), 'content-length': object.lengthBytes });
    response.end();
  }

  /**
   * @param {string} name
   * @param {ServerResponse} response
   */
  async #delete(name, response) {
    if (!(await this.#objects.remove(name))) throw notFound();
    response.writeHead(204).end();
  }

  /** @param {string} name */
  #find(name) {
    const object = this.#objects.find(name);
    if (object === undefined) throw notFound();
    return object;
  }
}

function notFound() {
  return new RequestFailure(404, 'not-found', 'there is no such object');
}

/** @param {StoredObject} object */
function etagOf(object) {
  return `"${Buffer.from(object.sha256).toString('hex')}"`;
}

/** @param {StoredObject} object */
function headersOf(object) {
  return {
    'accept-ranges': 'bytes',
    'content-type': object.contentType,
    etag: etagOf(object),
    'last-modified': new Date(object.createdMs).toUTCString(),
    // Somebody else chose the type: browsers shall not guess a livelier one.
    'x-content-type-options': 'nosniff',
  };
}

/**
 * The range that is asked for, unless `If-Range` names another version of the object.
 * @param {IncomingMessage} request
 * @param {StoredObject} object
 */
function rangeHeader({ headers }, object) {
  const condition = headers['if-range'];
  return condition === undefined || condition === etagOf(object) ? headers.range : undefined;
}
