/**
 * Loads a store, reports the number of updates since lodestore's merge, and waits to be killed.
 * lodestore's snapshot has half of the records; the rest, and overwrites of one record in a
 * hundred, are in logs.
 */
import { loadPeer } from '../peers/index.mjs';
import { dataAt, keyAt, valueAt } from './workload.mjs';

const [peer, directory, keys, countText] = process.argv.slice(2);
const count = Number(countText);
const MIB = 1024 * 1024;
const ours = {
  mergeBytes: 2 ** 40,
  // A million records: two logs; more records: one log.
  rotateBytes: count > 1_000_000 ? 512 * MIB : 8 * MIB,
  durability: { syncEveryMs: 1_000 },
};
const store = await (await loadPeer(peer)).open(directory, peer === 'lodestore' ? ours : {});
// lodestore syncs once a second here, the others with each batch.
const BATCH = peer === 'lodestore' ? 1_000 : 10_000;
let updates = 0;

async function put(numbers) {
  for (let from = 0; from < numbers.length; from += BATCH) {
    const part = numbers.slice(from, from + BATCH);
    updates += part.length;
    await store.put({
      keys: part.map((i) => keyAt(keys, i)),
      values: part.map((i) => valueAt(i)),
      data: part.map(dataAt),
    });
  }
}

const range = (from, to, step) =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);

await put(range(0, count / 2, 1));
await store.store?.merge();
updates = 0;
await put(range(count / 2, count, 1));
await put(range(0, count, 100));
await store.store?.sync();
process.send(updates);
setInterval(() => undefined, 1_000);
