import { performance } from 'node:perf_hooks';
import { giveTurn, loadPeer } from '../peers/index.mjs';
import { quantiles } from './figures.mjs';
import { groupCommits } from './group-commit.mjs';
import { watchLoop } from './loop-delay.mjs';
import { mainThreadCpuMs } from './machine.mjs';
import { batchSource } from './workload.mjs';

/** Records made before the measurement. */
const AHEAD_RECORDS = 50_000;

/**
 * Writers that each insert the next batch when their last one is durable.
 * @param {{ put: (batch: import('../peers/peer.mjs').Batch) => Promise<void>,
 *   nextBatch: () => import('../peers/peer.mjs').Batch, writers: number, peer: string }} what
 * @param {number} milliseconds
 * @returns {Promise<number[]>} Milliseconds that each commit took.
 */
async function writeFor({ put, nextBatch, writers, peer }, milliseconds) {
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
      await giveTurn(peer);
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return latencies;
}

/** @type {(store: import('../peers/peer.mjs').Store, job: any) => any} */
function putOf(store, { grouped, writers }) {
  if (grouped) return groupCommits(store.put);
  return writers > 1 && store.putConcurrently !== undefined ? store.putConcurrently : store.put;
}

/**
 * Commits per second of `writers` writers that add records to the store in `directory`.
 * @param {{ peer: string, directory: string, held: number, batch: number, writers: number,
 *   grouped?: boolean, keys: import('./workload.mjs').KeyKind, warmUpMs: number,
 *   measureMs: number }} job `held`: records in the store.
 */
export async function measureCommits(job) {
  const { keys, held, batch, writers, warmUpMs, measureMs } = job;
  const peer = await loadPeer(job.peer);
  const store = await peer.open(job.directory);
  store.warm?.();
  const nextBatch = batchSource(held, batch, Math.ceil(AHEAD_RECORDS / batch), keys);
  const writing = { put: putOf(store, job), nextBatch, writers, peer: job.peer };
  await writeFor(writing, warmUpMs);
  globalThis.gc?.();
  const loopDelay = watchLoop();
  const utilization = performance.eventLoopUtilization();
  const cpuBefore = mainThreadCpuMs();
  const start = performance.now();
  const latencies = await writeFor(writing, measureMs);
  const wallMs = performance.now() - start;
  const { active } = performance.eventLoopUtilization(utilization);
  const cpuMs = cpuBefore === undefined ? undefined : mainThreadCpuMs() - cpuBefore;
  const delay = loopDelay();
  await store.close();
  return { ...figures(latencies, { batch, writers, wallMs, loopMs: active, cpuMs }), ...delay };
}

/** A single writer idles while its next batch is made, so only the time in commits counts. */
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
