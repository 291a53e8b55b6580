import { join } from 'node:path';
import { systemCode } from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import { syncAncestors } from '../../directory/ensure-directory.ts';
import { MARKER_NAME, snapshotName, temporarySnapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { SnapshotWriter } from '../../snapshot/snapshot-writer.ts';

/**
 * Writes the first, empty snapshot, which holds the store's id. From then on, a store without a
 * snapshot is known to be damaged, and the ancestor fails on the directory instead of creating a
 * new store in it.
 */
export async function createStore(
  fs: FileSystem,
  directory: string,
  storeId: Uint8Array,
  lock: DirectoryLock,
): Promise<void> {
  const marker = await fs.open(join(directory, MARKER_NAME), 'wx').catch((error: unknown) => {
    if (systemCode(error) === 'EEXIST') return undefined;
    throw error;
  });
  await marker?.close();
  const temporaryPath = join(directory, temporarySnapshotName(0, lock.owner.nonce));
  await unlinkIfThere(fs, temporaryPath);
  const file = await fs.open(temporaryPath, 'wx');
  try {
    const writer = new SnapshotWriter(file, {
      kind: 'snapshot',
      storeId,
      number: 0,
      epoch: 0,
      predecessor: { number: 0, lengthBytes: 0, lastSequence: 0n, chain: 0 },
    });
    await writer.finish();
  } finally {
    await file.close();
  }
  // Before the store exists, because a later open of an existing store does not sync parent
  // directories.
  await syncAncestors(fs, directory);
  // After a pause, another host may have created its store here.
  await lock.whenHeld();
  await fs.rename(temporaryPath, join(directory, snapshotName(0)));
  await fs.syncDirectory(directory);
}
