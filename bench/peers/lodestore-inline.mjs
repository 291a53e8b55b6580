import { setImmediate as turn } from 'node:timers/promises';
import { WriteBatch } from 'lodestore';
import lodestore, { pack } from './lodestore.mjs';

/** A loop of calls that block starves merges: it gives way this often. */
const TURN_EVERY_MS = 10;

/** @type {import('./peer.mjs').Peer} */
export default {
  ...lodestore,
  name: 'lodestore inline',
  setting: "commits: 'inline', insertBatchSync; a turn of the event loop every 10 ms",
  async open(directory, options = {}) {
    const opened = await lodestore.open(directory, { ...options, commits: 'inline' });
    const packed = new WriteBatch();
    let turnMs = performance.now();
    return {
      ...opened,
      async put(batch) {
        opened.store.insertBatchSync(pack(packed, batch));
        if (performance.now() - turnMs < TURN_EVERY_MS) return;
        await turn();
        turnMs = performance.now();
      },
    };
  },
};
