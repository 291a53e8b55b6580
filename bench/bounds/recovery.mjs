/**
 * Processor time of opening a store whose newer half is in a log. Time of the processor says more
 * than that of the clock where other processes run.
 *
 *     node bench/bounds/recovery.mjs DIRECTORY random|ascending COUNT THREADS
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MetadataStore, WriteBatch } from 'lodestore';
import { dataAt, keyAt } from '../lib/workload.mjs';

const BATCH = 1_000;
const OPENS = 6;
const GETS = 200_000;
const PASSES = 7;

const [parent = '.', kind = 'random', countText = '1000000', threadsText = '1'] =
  process.argv.slice(2);
const keys = kind === 'ascending' ? 'ascending' : 'random';
const count = Number(countText);
const half = count / 2;

/** Milliseconds of the processor, of all threads. */
async function processorMs(job) {
  const from = process.cpuUsage();
  await job();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1_000;
}

async function fill(store, from, to) {
  for (let i = from; i < to;) {
    const batch = new WriteBatch();
    for (const end = Math.min(i + BATCH, to); i < end; i++) {
      batch.put(keyAt(keys, i), BigInt(i + 1), dataAt(i));
    }
    await store.insertBatch(batch);
  }
}

async function make(path) {
  const store = await MetadataStore.open(path, { mergeBytes: 2 ** 40 });
  await fill(store, 0, half);
  await store.merge();
  await fill(store, half, count);
  await store.close();
}

/** Nanoseconds per get of keys of records [from, from + half), without the first passes. */
async function getNs(store, from) {
  const queries = Array.from({ length: GETS }, (_, i) => keyAt(keys, from + ((i * 7_919) % half)));
  const passes = [];
  for (let pass = 0; pass < PASSES; pass++) {
    passes.push(await processorMs(() => queries.forEach((key) => store.get(key))));
  }
  const late = passes.slice(2).sort((a, b) => a - b);
  return Math.round((1e6 * late[late.length >> 1]) / GETS);
}

const directory = mkdtempSync(join(parent, 'recovery-'));
try {
  const path = join(directory, 'store');
  await make(path);
  const opens = [];
  const options = { readOnly: true, threads: Number(threadsText) };
  for (let i = 0; i < OPENS; i++) {
    let store;
    opens.push(
      Math.round(await processorMs(async () => (store = await MetadataStore.open(path, options)))),
    );
    if (i < OPENS - 1) await store.close();
    else {
      const stepMs = await processorMs(() => void store.entries().next());
      const figures = { merged: await getNs(store, 0), unmerged: await getNs(store, half) };
      console.log({ keys, count, opens, stepMs, getNs: figures });
      await store.close();
    }
  }
} finally {
  rmSync(directory, { recursive: true });
}
