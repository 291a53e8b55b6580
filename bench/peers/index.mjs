/** Names of the files in this folder that are stores with reads. */
export const STORES = ['lodestore', 'lmdb', 'classic-level', 'rocksdb', 'better-sqlite3'];

/** lodestore with other options, in rows that compare them. */
export const VARIANTS = ['lodestore-inline'];

/** Bare files: what a store that writes one log can be held against. */
export const FILES = ['append', 'overwrite', 'overwrite-dsync'];

/** Peers that a row with writes is won against. */
export const RIVALS = STORES.filter((id) => id !== 'lodestore');

/** @type {(id: string) => Promise<import('./peer.mjs').Peer>} */
export async function loadPeer(id) {
  return (await import(`./${id}.mjs`)).default;
}
