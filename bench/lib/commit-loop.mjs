import { performance } from 'node:perf_hooks';
import { loadPeer } from '../peers/index.mjs';
import { quantiles } from './figures.mjs';
import { groupCommits } from './group-commit.mjs';
import { mainThreadCpuMs } from './machine.mjs';
import { batchOf, batchSource } from './workload.mjs';

const PRELOADED_RECORDS = 100_000;
const PRELOAD_BATCH = 10_000;
/** Records made before the clock starts. */
const AHEAD_RECORDS = 50_000;

/**
 * Writers that each hand in the next batch when their last one is durable.
 * @param {(batch: import('../peers/peer.mjs').Batch) => Promise<void>} put
 * @param {() => import('../peers/peer.mjs').Batch} nextBatch
 * @param {number} writers
 * @param {number} milliseconds
 * @returns {Promise<number[]>} Milliseconds that each commit took.
 */
async function writeFor(put, nextBatch, writers, milliseconds) {
  /** @type {number[]} */
  const latencies = [];
  const end = performance.now() + milliseconds;
  const writer = async () => {
    for (;;) {
      const batch = nextBatch();
      const start = performance.now();
      if (start > end) return;
      await put(batch);
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return latencies;
}

/**
 * Commits per second of `writers` writers on a store that holds 100,000 records already.
 * @param {{ peer: string, directory: string, batch: number, writers: number, grouped?: boolean,
 *   keys?: import('./workload.mjs').KeyKind,
 *   warmUpMs: number, measureMs: number }} job
 */
export async function measureCommits(job) {
  const { batch, writers, warmUpMs, measureMs, keys = 'ascending' } = job;
  const peer = await loadPeer(job.peer);
  const store = await peer.open(job.directory);
  for (let from = 0; from < PRELOADED_RECORDS; from += PRELOAD_BATCH) {
    await store.put(batchOf(keys, from, from + PRELOAD_BATCH));
  }
  await store.settle?.();
  const put = job.grouped ? groupCommits(store.put) : store.put;
  const nextBatch = batchSource(PRELOADED_RECORDS, batch, Math.ceil(AHEAD_RECORDS / batch), keys);
  await writeFor(put, nextBatch, writers, warmUpMs);
  globalThis.gc?.();
  const utilization = performance.eventLoopUtilization();
  const cpuBefore = mainThreadCpuMs();
  const start = performance.now();
  const latencies = await writeFor(put, nextBatch, writers, measureMs);
  const wallMs = performance.now() - start;
  const { active } = performance.eventLoopUtilization(utilization);
  const cpuMs = cpuBefore === undefined ? undefined : mainThreadCpuMs() - cpuBefore;
  await store.close();
  return figures(latencies, { batch, writers, wallMs, loopMs: active, cpuMs });
}

/** One writer is idle while its next batch is made: what counts then is the time within commits. */
function figures(latencies, { batch, writers, wallMs, loopMs, cpuMs }) {
  const commits = latencies.length;
  const busyMs = writers === 1 ? latencies.reduce((sum, ms) => sum + ms, 0) : wallMs;
  return {
    commits,
    commitsPerSecond: (1000 * commits) / busyMs,
    recordsPerSecond: (1000 * commits * batch) / busyMs,
    ...quantiles(latencies),
    loopMicroseconds: (1000 * loopMs) / commits,
    cpuMicroseconds: cpuMs === undefined ? undefined : (1000 * cpuMs) / commits,
  };
}
