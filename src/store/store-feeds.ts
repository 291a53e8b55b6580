import { isAncestorStoreId } from '../format/ancestor.ts';
import { StoreChangeSource } from './changes/change-source.ts';
import { FeedSet } from './changes/feed-set.ts';
import { RetainedLogs } from './changes/retained-logs.ts';
import type { LogKeeper } from './commit/log-keeper.ts';
import type { OpenedParts } from './open/open-parts.ts';

/** The feeds of a store. `keeper` is asked when they read; that of a read-only store has none. */
export function openFeeds(
  parts: OpenedParts,
  keeper: () => Pick<LogKeeper, 'closedLogs' | 'live' | 'lastSyncedSequence'> | undefined,
): FeedSet {
  const { fs, directory, recovered, retention, logs, lock, health } = parts;
  const { storeId } = recovered;
  const retained = new RetainedLogs(retention);
  const source = new StoreChangeSource({
    fs,
    directory,
    storeId,
    isLive: lock !== undefined,
    beginsWithRecords: isAncestorStoreId(storeId),
    retained,
    keeper: () =>
      keeper() ?? {
        closedLogs: logs.closed,
        live: undefined,
        lastSyncedSequence: logs.last.lastSequence,
      },
  });
  return new FeedSet(source, retained, health);
}
