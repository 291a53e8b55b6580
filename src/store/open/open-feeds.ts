import { isAncestorStoreId } from '../../format/ancestor.ts';
import { ChangeFeeds } from '../changes/change-feeds.ts';
import { StoreChangeSource } from '../changes/change-source.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import type { OpenedParts } from './open-parts.ts';
import { RetainedLogs } from '../changes/retained-logs.ts';

/** The feeds of a store. `keeper` is asked when they read; that of a read-only store has none. */
export function openFeeds(
  parts: OpenedParts,
  keeper: () => Pick<LogKeeper, 'closedLogs' | 'live' | 'lastSyncedSequence'> | undefined,
): ChangeFeeds {
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
  return new ChangeFeeds(source, retained, health);
}
