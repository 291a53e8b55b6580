/** Loads a store, tells how many updates its logs hold, and waits to be killed. */
import { MetadataStore } from '../../dist/index.js';
import { dataAt, keyAt, valueAt } from './workload.mjs';

const [directory, keys, countText] = process.argv.slice(2);
const count = Number(countText);
const store = await MetadataStore.open(directory, {
  mergeBytes: 2 ** 40,
  durability: { syncEveryMs: 1_000 },
});
const BATCH = 1_000;
let updates = 0;

async function put(numbers) {
  for (let from = 0; from < numbers.length; from += BATCH) {
    const part = numbers.slice(from, from + BATCH);
    updates += part.length;
    await store.insertBatch(
      part.map((i) => ({ type: 'put', key: keyAt(keys, i), value: valueAt(i), data: dataAt(i) })),
    );
  }
}

const range = (from, to, step) =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);

await put(range(0, count / 2, 1));
await store.merge();
updates = 0;
await put(range(count / 2, count, 1));
await put(range(0, count, 50 * 2));
await put(range(0, count / 50, 2));
await store.sync();
process.send(updates);
setInterval(() => undefined, 1_000);
