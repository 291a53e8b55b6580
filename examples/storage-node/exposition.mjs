// @ts-check
import { RequestFailure } from './failure.mjs';

/** @import { MetadataStore } from 'lodestore' */
/** @import { Metrics } from './metrics.mjs' */
/** @import { VolumeSet } from './volume-set.mjs' */

/**
 * What `/metrics` shows figures of.
 * @typedef {object} ExposedParts
 * @property {MetadataStore} metadata
 * @property {Metrics} metrics
 * @property {{ readonly size: number }} objects
 * @property {Pick<VolumeSet, 'stats'>} volumes
 */

/** @typedef {{ contentType: string, text(): Promise<string> }} Exposition */

const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Both come with `npm install prom-client`, which lodestore does not ask for. */
const importEntries = () => Promise.all([import('prom-client'), import('lodestore/prometheus')]);

/**
 * The node's own figures and those of its metadata store, in one registry of prom-client. Without
 * prom-client the node works all the same, and whoever asks for its metrics is told what to
 * install.
 * @param {ExposedParts} parts
 * @param {typeof importEntries} [load]
 * @returns {Promise<Exposition>}
 */
export async function makeExposition(parts, load = importEntries) {
  /** @type {Awaited<ReturnType<typeof importEntries>>} */
  let entries;
  try {
    entries = await load();
  } catch (error) {
    if (/** @type {{ code?: unknown }} */ (error).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return absent();
  }
  const [client, { collectStore }] = entries;
  const register = new client.Registry();
  addRequests(client, register, parts.metrics);
  addStored(client, register, parts);
  // Taken out again when the store is closed.
  collectStore(parts.metadata, { register });
  return { contentType: register.contentType, text: () => register.metrics() };
}

/** @returns {Exposition} */
function absent() {
  return {
    contentType: 'text/plain',
    async text() {
      const hint = 'metrics need prom-client: npm install prom-client, and start the node again';
      throw new RequestFailure(501, 'metrics-unavailable', hint);
    },
  };
}

/**
 * @param {typeof import('prom-client')} client
 * @param {import('prom-client').Registry} register
 * @param {Metrics} metrics
 */
function addRequests({ Counter, Gauge, Histogram }, register, metrics) {
  const registers = [register];
  const requests = new Counter({
    name: 'storage_node_requests_total',
    help: 'Requests answered, or aborted by the client.',
    labelNames: ['method', 'status'],
    registers,
    collect() {
      this.reset();
      for (const { method, status, count } of metrics.stats().requests) {
        requests.inc({ method, status }, count);
      }
    },
  });
  const durations = new Histogram({
    name: 'storage_node_request_duration_seconds',
    help: "From a request's head to the last byte of its answer.",
    labelNames: ['method'],
    buckets: BUCKETS_SECONDS,
    registers,
  });
  metrics.onFinished = (method, seconds) => durations.observe({ method }, seconds);
  void new Gauge({
    name: 'storage_node_requests_in_flight',
    help: 'Requests being answered.',
    registers,
    collect() {
      this.set(metrics.inFlight);
    },
  });
  addCounter(Counter, registers, 'received_bytes_total', 'Bytes of request bodies.', () => {
    return metrics.receivedBytes;
  });
  addCounter(Counter, registers, 'sent_bytes_total', 'Bytes of objects sent.', () => {
    return metrics.sentBytes;
  });
}

/**
 * @param {typeof import('prom-client')} client
 * @param {import('prom-client').Registry} register
 * @param {ExposedParts} parts
 */
function addStored({ Counter, Gauge }, register, { objects, volumes }) {
  const registers = [register];
  void new Gauge({
    name: 'storage_node_objects',
    help: 'Objects stored.',
    registers,
    collect() {
      this.set(objects.size);
    },
  });
  void new Gauge({
    name: 'storage_node_volumes_open',
    help: 'Volume files open.',
    registers,
    async collect() {
      this.set((await volumes.stats()).open);
    },
  });
  addCounter(Counter, registers, 'volume_appends_total', 'Appends to volumes.', async () => {
    return (await volumes.stats()).appends;
  });
  addCounter(Counter, registers, 'volume_appended_bytes_total', 'Bytes appended.', async () => {
    return (await volumes.stats()).appendedBytes;
  });
  addCounter(Counter, registers, 'volume_syncs_total', 'Syncs of volumes.', async () => {
    return (await volumes.stats()).syncs;
  });
}

/**
 * A counter that the node keeps itself, read at each scrape.
 * @param {typeof import('prom-client').Counter} Counter
 * @param {import('prom-client').Registry[]} registers
 * @param {string} name
 * @param {string} help
 * @param {() => number | Promise<number>} read
 */
function addCounter(Counter, registers, name, help, read) {
  void new Counter({
    name: `storage_node_${name}`,
    help,
    registers,
    async collect() {
      const value = await read();
      this.reset();
      this.inc(value);
    },
  });
}
