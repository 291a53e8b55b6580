import { join } from 'node:path';
import Database from 'better-sqlite3';

/** SQLite's integers are signed. */
const signed = (/** @type {bigint} */ key) => BigInt.asIntN(64, key);

/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'better-sqlite3',
  kind: 'store',
  package: 'better-sqlite3',
  setting: 'WAL, synchronous = FULL; cache 256 MiB; synchronous calls: blocks the event loop',
  async open(directory) {
    const db = new Database(join(directory, 'data.db'));
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('cache_size = -262144');
    db.defaultSafeIntegers(true);
    db.exec(
      'CREATE TABLE IF NOT EXISTS records (key INTEGER PRIMARY KEY, value INTEGER, data BLOB)',
    );
    const insert = db.prepare('INSERT OR REPLACE INTO records VALUES (?, ?, ?)');
    const remove = db.prepare('DELETE FROM records WHERE key = ?');
    const select = db.prepare('SELECT value, data FROM records WHERE key = ?');
    const scan = db.prepare('SELECT sum(length(data)) FROM records').pluck();
    const all = db.prepare('SELECT key, value, data FROM records ORDER BY key').raw();
    const write = db.transaction(({ keys, values, data }) => {
      for (let i = 0; i < keys.length; i++) {
        if (data[i] === null) remove.run(signed(keys[i]));
        else insert.run(signed(keys[i]), signed(values[i]), data[i]);
      }
    });
    const get = (key) => {
      const row = select.get(signed(key));
      if (row === undefined) return undefined;
      return { value: BigInt.asUintN(64, row.value), data: row.data };
    };
    return {
      put: async (batch) => write(batch),
      warm: () => void scan.get(),
      get,
      getMany: (keys) => Array.from(keys, get),
      visitAll(visit) {
        for (const [key, value, data] of all.iterate()) {
          visit(BigInt.asUintN(64, key), BigInt.asUintN(64, value), data);
        }
      },
      close: async () => void db.close(),
    };
  },
};
