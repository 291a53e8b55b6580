import { isAncestorStoreId } from '../format/ancestor.ts';
import { StoreChangeSource } from './changes/change-source.ts';
import { FeedSet } from './changes/feed-set.ts';
import { RetainedLogs } from './changes/retained-logs.ts';
import type { LogKeeper } from './commit/log-keeper.ts';
import type { OpenedStore } from './open/opened-store.ts';

/** The feeds of a store. `keeper` is asked when they read; that of a read-only store has none. */
export function openFeeds(
  opened: OpenedStore,
  keeper: () => Pick<LogKeeper, 'closedLogs' | 'live' | 'acknowledged'> | undefined,
): FeedSet {
  const { directory: fs, recovered, lock, health } = opened;
  const { identity, retention, logs } = recovered;
  const { storeId } = identity;
  const retained = new RetainedLogs(retention);
  const source = new StoreChangeSource({
    fs,
    directory: fs.realPath,
    storeId,
    isLive: lock !== undefined,
    beginsWithRecords: isAncestorStoreId(storeId),
    retained,
    keeper: () =>
      keeper() ?? {
        closedLogs: logs.closed,
        live: undefined,
        acknowledged: logs.last,
      },
  });
  return new FeedSet(source, retained, health);
}
