import { setTimeout as sleep } from 'node:timers/promises';
import { MetadataStore, WriteBatch } from 'lodestore';

/** @type {(packed: WriteBatch, batch: import('./peer.mjs').Batch) => WriteBatch} */
export function pack(packed, { keys, values, data }) {
  packed.clear();
  for (let i = 0; i < keys.length; i++) {
    if (data[i] === null) packed.delete(keys[i]);
    else packed.put(keys[i], values[i], data[i]);
  }
  return packed;
}

/** @type {(store: MetadataStore) => Promise<void>} */
async function settled(store) {
  while (store.stats().merges.state === 'running') await sleep(10);
}

/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'lodestore',
  kind: 'store',
  setting: 'defaults; merges in the background included',
  groupsItself: true,
  async open(directory, options = {}) {
    const store = await MetadataStore.open(directory, options);
    // It can be reused while the inserted batch is still being written.
    const packed = new WriteBatch();
    return {
      store,
      put: (batch) => store.insertBatch(pack(packed, batch)),
      get: (key) => store.get(key),
      getMany: (keys) => store.getMany(keys, { data: true }),
      visitAll(visit) {
        for (const [key, { value, data }] of store.entries()) visit(key, value, data);
      },
      settle: () => settled(store),
      close: () => store.close(),
    };
  },
};
