import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import { logName, RESERVE_NAME, SPARE_NAMES, snapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { readFully } from '../../fs/file-window.ts';
import { writeFully } from '../../fs/write.ts';
import type { RecoveredState } from '../recovery/recovery.ts';
import type { Retention } from '../changes/retained-logs.ts';
import type { TailRepair } from '../recovery/verdict.ts';

/**
 * Makes durable what recovery has read, before anything depends on it, then removes leftovers. A
 * crash at any step leaves a directory that recovers to the same records. Returns the removed
 * names.
 *
 * After a failed sync, or a kill before one, the page cache can show bytes that the disk does not
 * have, and a later sync reports success without writing them. So bytes that nothing later proves
 * synced, at least the last group, are rewritten.
 */
export async function repair(
  fs: FileSystem,
  directory: string,
  state: RecoveredState,
  kept: { readonly retention: Retention; readonly hasReserve: boolean },
  lock: DirectoryLock,
): Promise<string[]> {
  const { tail, blankPaths } = state.verdict;
  // Recovery may have taken a long time.
  await lock.whenHeld();
  if (tail?.kind === 'rewrite') await rewriteTail(fs, tail, lock);
  // The names that were read, especially the snapshot's, must be durable before the files that they
  // replace are removed.
  await fs.syncDirectory(directory);
  const dead = deadNames(state, kept.retention).map((name) => join(directory, name));
  const withoutGroups = tail?.kind === 'discard' ? [tail.path, ...blankPaths] : blankPaths;
  dead.push(...withoutGroups);
  for (const path of dead) {
    await lock.whenHeld();
    await unlinkIfThere(fs, path);
  }
  // The disk may hold a group that was not read: one of a failed write, whose truncation was never
  // synced. It must not reappear after the records without it were served.
  if (withoutGroups.length > 0) await fs.syncDirectory(directory);
  if (state.listing.hasReserve === true && !kept.hasReserve) {
    // The reserve of an open with the option. It only takes space, so a failure to remove it is
    // harmless.
    for (const name of [...SPARE_NAMES, RESERVE_NAME]) {
      await lock.whenHeld();
      await unlinkIfThere(fs, join(directory, name)).catch(() => undefined);
    }
  }
  return dead;
}

/** Merged logs that are not retained, older snapshots and unfinished snapshots. */
function deadNames(state: RecoveredState, retention: Retention): string[] {
  const { listing, snapshot } = state;
  const dead = listing.temporaries;
  if (snapshot === undefined) return [...dead];
  const older = listing.snapshots.filter((number) => number < snapshot.number);
  const oldestKept = retention.logs[0]?.number ?? snapshot.number + 1;
  const merged = listing.logs.filter((number) => number < oldestKept);
  return [...dead, ...merged.map(logName), ...older.map(snapshotName)];
}

/** Bytes that are read and rewritten at a time. */
const REWRITE_BYTES: number = 4 * 1024 * 1024;

/** Rewrites groups in place with the same bytes, and truncates what torn writes left after them. */
async function rewriteTail(
  fs: FileSystem,
  tail: Extract<TailRepair, { kind: 'rewrite' }>,
  lock: DirectoryLock,
): Promise<void> {
  const { fromOffset, toOffset } = tail;
  const file = await fs.open(tail.path, 'r+');
  try {
    const buffer = new Uint8Array(Math.min(toOffset - fromOffset, REWRITE_BYTES));
    for (let offset = fromOffset; offset < toOffset; offset += buffer.length) {
      const bytes = buffer.subarray(0, Math.min(buffer.length, toOffset - offset));
      const count = await readFully(file, bytes, offset);
      assert(count === bytes.length, 'the groups are as long as when they were read');
      await lock.whenHeld();
      await writeFully(file, bytes, offset);
    }
    // Truncated even if only zeros are read: bytes whose sync failed may be on disk although the
    // page cache does not show them.
    await lock.whenHeld();
    await file.truncate(tail.toOffset);
    await file.dataSync();
  } finally {
    await file.close();
  }
}
