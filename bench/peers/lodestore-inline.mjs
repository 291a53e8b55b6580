import { StoreBusyError, WriteBatch } from 'lodestore';
import lodestore, { pack } from './lodestore.mjs';

/** @type {import('./peer.mjs').Peer} */
export default {
  ...lodestore,
  name: 'lodestore inline',
  setting: "commits: 'inline', insertBatchSync: blocks the event loop",
  async open(directory, options = {}) {
    const opened = await lodestore.open(directory, { ...options, commits: 'inline' });
    const packed = new WriteBatch();
    return {
      ...opened,
      putConcurrently: opened.put,
      async put(batch) {
        pack(packed, batch);
        try {
          opened.store.insertBatchSync(packed);
        } catch (error) {
          if (!(error instanceof StoreBusyError)) throw error;
          await opened.store.insertBatch(packed);
        }
      },
    };
  },
};
