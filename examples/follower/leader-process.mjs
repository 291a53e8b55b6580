// @ts-check
import { once } from 'node:events';
import { MetadataStore } from 'lodestore';
import { serveChanges } from './leader.mjs';

/** @import { AddressInfo } from 'node:net' */
/** @import { Update } from 'lodestore' */

/**
 * Arguments: directory, port (0: any). Writes batches until it is told to stop, then reports its
 * contents. Small logs, of which few are retained, so that the feed crosses rotations, merges and
 * expired positions.
 */
const [directory = '', port = '0'] = process.argv.slice(2);
const KEYS = 5_000;
const LANES = 4;

const store = await MetadataStore.open(directory, {
  rotateBytes: 128 * 1024,
  mergeBytes: 256 * 1024,
  retain: { bytes: 4 * 1024 * 1024 },
});
const server = serveChanges(store, `${directory}.backup-`, (line) => process.send?.({ log: line }));
server.listen(Number(port), '127.0.0.1');
await once(server, 'listening');
process.send?.({ port: /** @type {AddressInfo} */ (server.address()).port });

const stopping = new AbortController();
process.on('message', () => stopping.abort());
process.on('disconnect', () => process.exit());

/** @param {number} limit */
const below = (limit) => Math.floor(Math.random() * limit);

/** @returns {Update} */
function randomUpdate() {
  const key = below(KEYS);
  if (below(4) === 0) return { type: 'del', key };
  return {
    type: 'put',
    key,
    value: 1 + below(2 ** 40),
    data: Buffer.alloc(below(300), below(256)),
  };
}

async function write() {
  while (!stopping.signal.aborted) {
    await store.insertBatch(Array.from({ length: 1 + below(20) }, randomUpdate));
    await new Promise((resume) => setTimeout(resume, below(5)));
  }
}

await Promise.all(Array.from({ length: LANES }, write));
const { hash, records, lastSequence } = await store.contentHash();
process.send?.({ hash, records, lastSequence: `${lastSequence}` });
