import { setTimeout as sleep } from 'node:timers/promises';
import { number } from '../lib/number-text.mjs';
import { canTrace, countSyncs, traceFile, tracer } from '../lib/sync-count.mjs';
import { batchOf } from '../lib/workload.mjs';
import { FILES, loadPeer, STORES, VARIANTS } from '../peers/index.mjs';

export const place = 0;
export const title = 'What makes a commit durable';

const SHORT_COMMITS = 20;
const LONG_COMMITS = 120;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const peers = [];
  const traced = canTrace();
  for (const id of context.usable([...STORES, ...VARIANTS, ...FILES])) {
    const { name, setting } = await loadPeer(id);
    const perCommit = traced ? await callsPerCommit(context, id) : undefined;
    peers.push({ peer: id, name, setting, perCommit });
  }
  return { traced, peers, missing: context.missing };
}

/** The difference of two runs of different length, so that opening and closing do not count. */
async function callsPerCommit(context, peer) {
  try {
    const few = await callsOf(context, peer, SHORT_COMMITS);
    const many = await callsOf(context, peer, LONG_COMMITS);
    const names = [...new Set([...Object.keys(few), ...Object.keys(many)])];
    const each = (name) => ((many[name] ?? 0) - (few[name] ?? 0)) / (LONG_COMMITS - SHORT_COMMITS);
    return Object.fromEntries(names.map((name) => [name, each(name)]));
  } catch (error) {
    context.log(`${peer} could not be traced: ${error.message}`);
    return undefined;
  }
}

async function callsOf(context, peer, commits) {
  const directory = context.newDirectory();
  const traces = context.newDirectory();
  try {
    const wrapper = tracer(traceFile(traces));
    await context.child('durability', { peer, directory, commits }, { wrapper });
    return countSyncs(traceFile(traces));
  } finally {
    context.remove(directory);
    context.remove(traces);
  }
}

/** @param {{ peer: string, directory: string, commits: number }} job */
export async function measure({ peer, directory, commits }) {
  const store = await (await loadPeer(peer)).open(directory);
  for (let i = 0; i < commits; i++) await store.put(batchOf('ascending', i, i + 1));
  // Background preparation is part of both runs, or of none.
  await sleep(300);
  await store.close();
  return {};
}

/** @type {(result: any) => import('../lib/section.mjs').Section} */
export function report({ traced, peers, missing }) {
  const rows = peers.map(({ name, setting, perCommit }) => [name, callsText(perCommit), setting]);
  const left = Object.entries(missing).map(([peer, reason]) => `${peer} is left out: ${reason}. `);
  return {
    text:
      `${left.join('')}Calls per commit, counted with strace over ${LONG_COMMITS - SHORT_COMMITS} commits of one record, one after the other` +
      `${traced ? '' : ' (strace is not here: not counted)'}. A peer that made fewer than one would not be durable.`,
    tables: [{ head: ['', 'syncs per commit', 'setting'], rows }],
    charts: [],
    goals: [],
  };
}

function callsText(perCommit) {
  if (perCommit === undefined) return 'not counted';
  const calls = Object.entries(perCommit).filter(([, count]) => count > 0.005);
  return calls.map(([name, count]) => `${number(count, 2)} ${name}`).join(', ') || 'none';
}
