/**
 * When a batch is acknowledged. `sync`: when it and every earlier batch are on stable storage.
 * `deferred`: when it is in the log and visible. It then survives the end of the process, but a
 * power failure can lose it until the next sync.
 */
export type BatchDurability = 'sync' | 'deferred';

/**
 * `sync`: as for a batch. `{ syncEveryMs }`: batches are deferred, and the log is synced at this
 * interval.
 */
export type StoreDurability = 'sync' | { readonly syncEveryMs: number };

/** In a store opened with `sync`, the longest time until a deferred batch is synced. */
const DEFAULT_SYNC_EVERY_MS = 100;
const MAX_SYNC_EVERY_MS: number = 60 * 60 * 1000;

/**
 * With this many unsynced bytes, the next group is durable. It bounds the bytes that recovery
 * rewrites.
 */
export const MAX_UNSYNCED_BYTES: number = 32 * 1024 * 1024;

export interface ResolvedDurability {
  /** Default for batches without the option. */
  readonly batches: BatchDurability;
  readonly syncEveryMs: number;
}

/** Throws TypeError or RangeError that names the option. */
export function resolveDurability(durability: StoreDurability = 'sync'): ResolvedDurability {
  if (durability === 'sync') return { batches: 'sync', syncEveryMs: DEFAULT_SYNC_EVERY_MS };
  const { syncEveryMs } = Object(durability) as { readonly syncEveryMs?: unknown };
  if (typeof syncEveryMs !== 'number') {
    throw new TypeError("options.durability must be 'sync' or { syncEveryMs: number }");
  }
  if (!Number.isInteger(syncEveryMs) || syncEveryMs < 1 || syncEveryMs > MAX_SYNC_EVERY_MS) {
    const range = `an integer from 1 to ${MAX_SYNC_EVERY_MS}`;
    throw new RangeError(`options.durability.syncEveryMs must be ${range}`);
  }
  return { batches: 'deferred', syncEveryMs };
}

/** Throws RangeError unless `durability` is valid. */
export function requireDurability(durability: BatchDurability): void {
  if (durability === 'sync' || durability === 'deferred') return;
  throw new RangeError("options.durability of a batch must be 'sync' or 'deferred'");
}
