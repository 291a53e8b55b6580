import { join } from 'node:path';
import { open } from 'lmdb';
import { foundIn, keyBytes, valueBytes } from './peer.mjs';

/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'lmdb',
  kind: 'store',
  package: 'lmdb',
  setting: 'defaults but overlappingSync: false, so that a promise resolves after the sync',
  groupsItself: true,
  async open(directory) {
    const db = open({
      path: join(directory, 'data.mdb'),
      keyEncoding: 'binary',
      encoding: 'binary',
      overlappingSync: false,
    });
    return {
      // Puts in one turn of the event loop form one transaction.
      async put({ keys, values, data }) {
        let written;
        for (let i = 0; i < keys.length; i++) {
          const key = keyBytes(keys[i]);
          written = data[i] === null ? db.remove(key) : db.put(key, valueBytes(values[i], data[i]));
        }
        await written;
      },
      get: (key) => foundIn(db.getBinary(keyBytes(key))),
      getMany: (keys) => db.getMany(Array.from(keys, keyBytes)),
      visitAll(visit) {
        for (const { key, value } of db.getRange({ snapshot: true })) {
          visit(key.readBigUInt64BE(0), value.readBigUInt64LE(0), value.subarray(8));
        }
      },
      close: () => db.close(),
    };
  },
};
