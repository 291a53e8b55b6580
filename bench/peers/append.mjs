import { closeSync, fdatasync, openSync, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { encodeRows } from './peer.mjs';

/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'append + fdatasync',
  kind: 'file',
  setting: 'node:fs callbacks, one write and one fdatasync per batch; raw rows, nothing else',
  async open(directory) {
    const descriptor = openSync(join(directory, 'file'), 'a');
    const writeAsync = promisify(write);
    const syncAsync = promisify(fdatasync);
    return {
      async put(batch) {
        await writeAsync(descriptor, encodeRows(batch));
        await syncAsync(descriptor);
      },
      close: async () => closeSync(descriptor),
    };
  },
};
