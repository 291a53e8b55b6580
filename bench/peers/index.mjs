import { setImmediate as turn } from 'node:timers/promises';

/** Names of the files in this folder that are stores with reads. */
export const STORES = ['lodestore', 'lmdb', 'classic-level', 'rocksdb', 'better-sqlite3'];

/** lodestore with other options, in rows that compare them. */
export const VARIANTS = ['lodestore-inline'];

/** Bare files, for comparison with a store that writes one log. */
export const FILES = ['append', 'overwrite', 'overwrite-dsync'];

/** The peers that lodestore is compared with in rows with writes. */
export const RIVALS = STORES.filter((id) => id !== 'lodestore');

/** Stores whose commits block the event loop until they are durable. */
export const BLOCKING = ['better-sqlite3', 'lodestore-inline'];

/** Peers whose commits do not block the event loop. */
export const FREE_RIVALS = RIVALS.filter((id) => !BLOCKING.includes(id));

/**
 * Gives the event loop a turn after a commit that blocked it, off the clock: timers and work in the
 * background would starve.
 * @type {(id: string) => Promise<void>}
 */
export async function giveTurn(id) {
  if (BLOCKING.includes(id)) await turn();
}

/** @type {(id: string) => Promise<import('./peer.mjs').Peer>} */
export async function loadPeer(id) {
  return (await import(`./${id}.mjs`)).default;
}
