// @ts-check
import { createServer } from 'node:http';
import { inspect } from 'node:util';
import { failureOf, RequestFailure } from './failure.mjs';
import { listingOf } from './listing.mjs';
import { objectNameOf } from './object-name.mjs';
import { ObjectRoutes } from './object-routes.mjs';

/** @import { IncomingMessage, Server, ServerResponse } from 'node:http' */
/** @import { Exposition } from './exposition.mjs' */
/** @import { NodeStats } from './storage-node.mjs' */

/**
 * @typedef {import('./object-routes.mjs').NodeParts & { stats(): Promise<NodeStats>, exposition:
 *   Exposition }} ServedNode
 */

/** A connection on which nothing moves for this long is cut. */
const IDLE_MS = 60_000;

/**
 * The HTTP side of a node; not listening yet.
 * @param {ServedNode} node
 * @param {{ maxObjectBytes: number, maxUploads: number, log: (message: string) => void }} options
 * @returns {Server}
 */
export function createHttpServer(node, options) {
  const routes = new ObjectRoutes(node, options);
  /** @type {(request: IncomingMessage, response: ServerResponse) => void} */
  const onRequest = (request, response) => {
    measure(node.metrics, request, response);
    route(node, routes, request, response).catch((error) => {
      fail(error, request, response, options.log);
    });
  };
  // By default Node allows five minutes for a whole request, too little for a large object.
  const server = createServer({ requestTimeout: 0 }, onRequest);
  server.setTimeout(IDLE_MS);
  // The answer may be a refusal: then the client need not send the body at all.
  server.on('checkContinue', onRequest);
  return server;
}

/**
 * @param {ServedNode} node
 * @param {ObjectRoutes} routes
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
async function route(node, routes, request, response) {
  const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s);
  const name = objectNameOf(path);
  if (name !== undefined) return routes.answer(name, request, response);
  if (path !== '/' && path !== '/stats' && path !== '/metrics') {
    throw new RequestFailure(404, 'not-found', 'objects are under /objects/<name>');
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    const headers = { allow: 'GET, HEAD' };
    throw new RequestFailure(405, 'method-not-allowed', `${path} can only be read`, { headers });
  }
  if (path === '/') return send(response, 200, listingOf(node.objects, query));
  if (path === '/stats') return send(response, 200, await node.stats());
  const text = await node.exposition.text();
  sendText(response, 200, node.exposition.contentType, text);
}

/**
 * @param {ServerResponse} response
 * @param {number} status
 * @param {object} body
 */
function send(response, status, body) {
  // JSON has neither: u64 as text, errors as their message.
  const json = JSON.stringify(body, (_key, value) => {
    if (typeof value === 'bigint') return value.toString();
    return value instanceof Error ? value.message : value;
  });
  sendText(response, status, 'application/json', `${json}\n`);
}

/**
 * @param {ServerResponse} response
 * @param {number} status
 * @param {string} contentType
 * @param {string} text
 */
function sendText(response, status, contentType, text) {
  const headers = { 'content-type': contentType, 'content-length': Buffer.byteLength(text) };
  response.writeHead(status, headers).end(text);
}

/**
 * @param {unknown} error
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 * @param {(message: string) => void} log
 */
function fail(error, request, response, log) {
  const { code: systemCode } = /** @type {{ code?: unknown }} */ (error);
  // The client has gone; an upload of which bytes are missing was never an object.
  if (request.errored || systemCode === 'ERR_STREAM_PREMATURE_CLOSE') return;
  const { status, code, message, outcome, headers, cause } = failureOf(error);
  if (cause !== undefined) log(`${request.method} ${request.url}: ${inspect(cause)}`);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  // What is left of the body is dropped. To cut the connection instead could cost the client this
  // answer.
  request.resume();
  send(response, status, { error: { code, message, outcome } });
}

/**
 * @param {ServedNode['metrics']} metrics
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
function measure(metrics, request, response) {
  const startMs = performance.now();
  metrics.inFlight++;
  response.once('close', () => {
    metrics.inFlight--;
    const status = response.writableFinished ? response.statusCode : 'aborted';
    metrics.finished(request.method ?? '', status, (performance.now() - startMs) / 1000);
  });
}
