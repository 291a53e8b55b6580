import { promisify } from 'node:util';
import rocksdb from 'rocksdb';
import { keyBytes, valueBytes } from './peer.mjs';

const MIB = 1024 * 1024;

/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'rocksdb',
  kind: 'store',
  package: 'rocksdb',
  setting: 'sync: true; cache 256 MiB, write buffer 64 MiB; its get is asynchronous only',
  async open(directory) {
    const db = rocksdb(directory);
    await promisify(db.open.bind(db))({ cacheSize: 256 * MIB, writeBufferSize: 64 * MIB });
    const writeBatch = promisify(db.batch.bind(db));
    const getMany = promisify(db.getMany.bind(db));
    return {
      put({ keys, values, data }) {
        const operations = keys.map((key, i) =>
          data[i] === null
            ? { type: 'del', key: keyBytes(key) }
            : { type: 'put', key: keyBytes(key), value: valueBytes(values[i], data[i]) },
        );
        return writeBatch(operations, { sync: true });
      },
      getMany: (keys) => getMany(Array.from(keys, keyBytes)),
      visitAll: (visit) => visitAll(db, visit),
      close: promisify(db.close.bind(db)),
    };
  },
};

/**
 * @type {(db: any, visit: (key: bigint, value: bigint, data: Uint8Array) => void) => Promise<void>}
 */
function visitAll(db, visit) {
  const iterator = db.iterator();
  return new Promise((resolve, reject) => {
    const step = () => {
      iterator.next((error, key, value) => {
        if (error) return reject(error);
        if (key === undefined) return iterator.end((e) => (e ? reject(e) : resolve()));
        visit(key.readBigUInt64BE(0), value.readBigUInt64LE(0), value.subarray(8));
        step();
      });
    };
    step();
  });
}
