import { performance } from 'node:perf_hooks';
import { longestTurnOf } from './loop-delay.mjs';
import { warmPageCache } from './page-cache.mjs';

/**
 * Opens a store whose files are in the page cache, and gets one record.
 * @param {import('../peers/peer.mjs').Peer} peer
 * @param {string} directory
 * @param {{ key: bigint, options?: object }} what `key`: of a record that is there.
 * @returns {Promise<{ store: import('../peers/peer.mjs').Store, figures: { openMs: number,
 *   firstGetMs: number | undefined, cpuMs: number, openDelayMs: number } }>} Times from the call of
 *   open; CPU time; longest delay of the event loop.
 */
export async function openAndGet(peer, directory, { key, options }) {
  await warmPageCache(directory);
  /** @type {any} */
  let opened;
  const { delayMs } = await longestTurnOf(async () => {
    const cpu = process.cpuUsage();
    const start = performance.now();
    const store = await peer.open(directory, options);
    const openMs = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    const isLost = store.get !== undefined && store.get(key) === undefined;
    const firstGetMs = store.get === undefined ? undefined : performance.now() - start;
    if (isLost) throw new Error('a record is lost');
    opened = { store, openMs, firstGetMs, cpuMs: (user + system) / 1000 };
  });
  const { store, ...figures } = opened;
  return { store, figures: { ...figures, openDelayMs: delayMs } };
}
