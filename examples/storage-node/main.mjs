// @ts-check
import { once } from 'node:events';
import { createHttpServer } from './http-server.mjs';
import { readSettings, USAGE } from './settings.mjs';
import { StorageNode } from './storage-node.mjs';

/** @import { Server } from 'node:http' */
/** @import { AddressInfo } from 'node:net' */
/** @import { Settings } from './settings.mjs' */

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** The metadata store takes no more writes until it is reopened: start me again. */
const EXIT_RESTART = 75;

/** Requests that are not done by then are cut. */
const GRACE_MS = 10_000;

/** @param {string} message */
const log = (message) => console.error(message);

/** @param {Settings} settings */
async function start(settings) {
  const node = await StorageNode.open(settings.data, settings);
  const server = createHttpServer(node, { ...settings, log });
  server.listen(settings.port, settings.host);
  await once(server, 'listening').catch(async (error) => {
    await node.close();
    throw error;
  });
  return { node, server };
}

/**
 * Finishes the requests under way and closes the store. A second call ends the process at once.
 * @param {StorageNode} node
 * @param {Server} server
 */
function stopper(node, server) {
  let isStopping = false;
  /**
   * @param {string} reason
   * @param {number} exitCode
   */
  return async (reason, exitCode) => {
    if (isStopping) process.exit(exitCode);
    isStopping = true;
    log(`stopping: ${reason}`);
    const closed = once(server, 'close');
    server.close();
    // Connections that are kept alive become idle one by one as their requests end.
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    const grace = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    await closed;
    clearInterval(idle);
    clearTimeout(grace);
    await node.close().catch((error) => log(`closing failed: ${error.message}`));
    process.exit(exitCode);
  };
}

/** @param {Settings} settings */
async function main(settings) {
  const { node, server } = await start(settings);
  const stop = stopper(node, server);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => void stop(signal, 0));
  // A parent that started the node with an IPC channel takes it along.
  process.on('disconnect', () => void stop('the parent has gone', 0));
  node.metadata.on('slowSync', ({ syncMs, path }) => {
    log(`syncing ${path} took ${Math.round(syncMs)} ms`);
  });
  node.metadata.on('mergeFailed', (error) => log(`a merge failed: ${error.message}`));
  node.metadata.on('poisoned', (error) => {
    void stop(`the metadata store takes no more writes: ${error.message}`, EXIT_RESTART);
  });
  const { address, family, port } = /** @type {AddressInfo} */ (server.address());
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  const { records, milliseconds } = node.metadata.recovery;
  log(
    `${url} serves ${records} objects of ${settings.data}, opened in ${milliseconds.toFixed(1)} ms`,
  );
  process.send?.({ url });
}

try {
  const settings = readSettings(process.argv.slice(2), process.env);
  if (settings === 'help') {
    console.log(USAGE);
  } else {
    await main(settings).catch((error) => {
      // Locked, damaged, no permission: the message says by whom or where, and what to do.
      log(error.message);
      process.exitCode = EXIT_FAILED;
    });
  }
} catch (error) {
  log(`${/** @type {Error} */ (error).message}\n${USAGE}`);
  process.exitCode = EXIT_USAGE;
}
