import { medians } from '../lib/figures.mjs';
import { memoryNow, peakBytes, resetPeak, settleMemory } from '../lib/memory.mjs';
import { many, megabytes, number } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { batchOf, churnOf, RECORD_BYTES } from '../lib/workload.mjs';
import { loadPeer } from '../peers/index.mjs';

export const place = 7;
export const title = 'Memory';

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const stores = [];
  for (const [keys, count] of context.pick(SIZES, BRIEF_SIZES)) {
    const { directory } = await context.fixtures.get('lodestore', keys, count);
    const jobs = ['lodestore', 'map'].map((peer) => ({
      id: peer,
      peer,
      job: { kind: 'open', peer, directory, keys, count },
    }));
    context.log(`${count} ${keys} keys`);
    const cases = await context.rounds('memory', jobs, context.pick(3, 1));
    stores.push({ keys, count, cases, merge: await mergeOf(context, keys, count) });
  }
  return { stores };
}

const SIZES = [
  ['ascending', 1_000_000],
  ['random', 5_000_000],
];
/** The measured merge must include all updates. */
const MERGE_WHEN_TOLD = { mergeBytes: 2 ** 40 };
const BRIEF_SIZES = [['ascending', 100_000]];

/** In a separate directory: its writes must not be in the other rows' store. */
async function mergeOf(context, keys, count) {
  const directory = context.newDirectory();
  try {
    return await context.child('memory', { kind: 'merge', directory, keys, count });
  } catch (error) {
    return { error: error.message };
  } finally {
    context.remove(directory);
  }
}

/** @param {any} job */
export async function measure(job) {
  return job.kind === 'open' ? await measureOpen(job) : await measureMerge(job);
}

async function measureOpen({ peer: id, directory, keys, count }) {
  const peer = await loadPeer(id);
  await settleMemory();
  const before = memoryNow();
  resetPeak();
  const store = await peer.open(directory);
  if (id === 'map') await fill(store, keys, count);
  const peak = peakBytes();
  await settleMemory();
  const after = memoryNow();
  const held = store.store?.stats().memory;
  await store.close();
  return { ...perRecord(before, after, peak, count), baseBytes: held?.baseBytes / count };
}

function perRecord(before, after, peak, count) {
  const heap = after.heap + after.arrayBuffers - before.heap - before.arrayBuffers;
  return {
    settled: (after.rss - before.rss) / count,
    peak: (peak - before.rss) / count,
    accounted: heap / count,
    beforeRss: before.rss,
  };
}

async function fill(store, keys, count) {
  for (let from = 0; from < count; from += 10_000) {
    await store.put(batchOf(keys, from, Math.min(count, from + 10_000)));
  }
}

/** Loads, lets the memory settle, overwrites a fifth at random, and merges. */
async function measureMerge({ directory, keys, count }) {
  const peer = await loadPeer('lodestore');
  await settleMemory();
  const before = memoryNow();
  const loader = await peer.open(directory, MERGE_WHEN_TOLD);
  await fill(loader, keys, count);
  await loader.store.merge();
  await settleMemory();
  const settled = memoryNow();
  const updates = count / 5;
  for (let round = 0; round < updates / 1_000; round++) {
    await loader.put(churnOf(keys, count, 1_000, round));
  }
  const dirty = memoryNow();
  resetPeak();
  await loader.store.merge();
  const peak = peakBytes();
  await settleMemory();
  const after = memoryNow();
  await loader.close();
  const of = (bytes) => (bytes - before.rss) / count;
  return {
    settled: of(settled.rss),
    dirty: of(dirty.rss),
    peak: of(peak),
    after: of(after.rss),
  };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ stores }, names) {
  const rows = [];
  const bars = [];
  const goals = [];
  for (const { keys, count, cases, merge } of stores) {
    const what = `${many(count)}, ${keys}`;
    for (const { peer, samples } of cases) {
      if (samples.length === 0) continue;
      const middle = medians(samples);
      rows.push([what, names[peer], ...columns(middle, merge, peer)]);
      const label = `${names[peer]}, ${what}`;
      const value = middle.settled;
      bars.push({ label, value, text: number(value, 1), ours: peer === 'lodestore' });
      if (peer === 'lodestore') goals.push(...goalsOf(what, middle, merge));
    }
  }
  return {
    text:
      `Bytes per record: what the resident set grew by since before the store was opened, after collecting garbage. A record is ${RECORD_BYTES} bytes of data. ` +
      '"Accounted" is heap and array buffers alone. The merge takes in random updates of a fifth of all records, a tenth of them deletes; ' +
      `its store was loaded by the same process. Before opening, the process took ${megabytes(stores[0].cases[0].samples[0]?.beforeRss)}.`,
    tables: [{ head: HEAD, rows }],
    charts: [{ name: 'memory', title: 'Bytes per record, settled, less is better', bars }],
    goals,
  };
}

const HEAD = [
  'records',
  '',
  'settled',
  'beyond the data',
  'accounted',
  'peak of open',
  'loaded and settled',
  'with updates',
  'peak of merge',
  'after it',
];

function columns(middle, merge, peer) {
  const texts = [middle.settled, middle.settled - RECORD_BYTES, middle.accounted, middle.peak];
  const merged =
    peer === 'lodestore'
      ? [merge.settled, merge.dirty, merge.peak, merge.after]
      : [NaN, NaN, NaN, NaN];
  return [...texts, ...merged].map((value) => number(value, 1));
}

function goalsOf(what, middle, merge) {
  const bytes = (value) => `${number(value, 1)} bytes`;
  const share = (value) => `${number(value, 2)} x`;
  const beyond = middle.settled - RECORD_BYTES;
  return [
    goal(`${what}: at most 20 bytes beyond the data, settled`, beyond, { atMost: 20 }, bytes),
    goal(
      `${what}: peak of open at most 1.5 x settled`,
      middle.peak / middle.settled,
      { atMost: 1.5 },
      share,
    ),
    goal(
      `${what}: peak of a merge at most 1.5 x settled`,
      merge.peak / merge.settled,
      { atMost: 1.5 },
      share,
    ),
  ];
}
