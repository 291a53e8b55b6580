import { ClassicLevel } from 'classic-level';
import { foundIn, keyBytes, valueBytes } from './peer.mjs';

const MIB = 1024 * 1024;
const VISIT_ENTRIES = 1_000;

/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'classic-level',
  kind: 'store',
  package: 'classic-level',
  setting: 'sync: true; cache 256 MiB, write buffer 64 MiB',
  async open(directory) {
    const db = new ClassicLevel(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      cacheSize: 256 * MIB,
      writeBufferSize: 64 * MIB,
    });
    await db.open();
    return {
      put({ keys, values, data }) {
        const operations = keys.map((key, i) =>
          data[i] === null
            ? { type: 'del', key: keyBytes(key) }
            : { type: 'put', key: keyBytes(key), value: valueBytes(values[i], data[i]) },
        );
        return db.batch(operations, { sync: true });
      },
      get: (key) => foundIn(db.getSync(keyBytes(key))),
      getMany: (keys) => db.getMany(Array.from(keys, keyBytes)),
      async visitAll(visit) {
        const iterator = db.iterator();
        for (;;) {
          const entries = await iterator.nextv(VISIT_ENTRIES);
          if (entries.length === 0) break;
          for (const [key, value] of entries) {
            visit(key.readBigUInt64BE(0), value.readBigUInt64LE(0), value.subarray(8));
          }
        }
        await iterator.close();
      },
      close: () => db.close(),
    };
  },
};
