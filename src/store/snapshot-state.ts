import { join } from 'node:path';
import { viewOf } from '../base/bytes.ts';
import { CorruptionError, StoreError, type CorruptionDetail } from '../base/errors.ts';
import type { DirectoryListing } from '../directory/listing.ts';
import { ancestorStoreId } from '../format/ancestor.ts';
import { snapshotName } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';
import { readSnapshot, type SnapshotFile } from '../snapshot/snapshot-reader.ts';
import { damageHint } from './advice.ts';

/** The snapshot that recovery starts from: header and index are verified, chunks are not yet read. */
export type SnapshotState =
  | {
      readonly format: 'lodestore';
      readonly number: number;
      readonly path: string;
      readonly fileBytes: number;
      readonly file: SnapshotFile;
    }
  | {
      readonly format: 'ancestor';
      readonly number: number;
      readonly path: string;
      readonly fileBytes: number;
      /** The last four bytes: its checksum. */
      readonly checksum: number;
    };

/** Reads header and index of snapshot `number`, or says what is wrong with it. */
export async function readSnapshotState(
  fs: FileSystem,
  directory: string,
  number: number,
): Promise<SnapshotState | CorruptionDetail> {
  const path = join(directory, snapshotName(number));
  const file = await fs.open(path, 'r');
  try {
    const result = await readSnapshot(file, number);
    if (result.kind === 'unsupported') {
      throw new StoreError(
        'LODESTORE_UNSUPPORTED_FORMAT',
        `${path} has format version ${result.version}, which this version of lodestore does not read`,
        { path },
      );
    }
    if (result.kind === 'corrupt') {
      const { offset, reason } = result;
      return { path, offset, reason, hint: damageHint(directory) };
    }
    if (result.kind === 'foreign') {
      const tail = new Uint8Array(4);
      const count = await readFully(file, tail, Math.max(result.fileBytes - 4, 0));
      const checksum = count < 4 ? 0 : viewOf(tail).getUint32(0, true);
      return { format: 'ancestor', number, path, fileBytes: result.fileBytes, checksum };
    }
    return { format: 'lodestore', number, path, fileBytes: result.fileBytes, file: result };
  } finally {
    await file.close();
  }
}

/**
 * The newest snapshot, or undefined when there is none. Older ones are leftovers of a merge.
 * @throws CorruptionError when the newest does not verify: an older one would show older records
 */
export async function newestSnapshot(
  fs: FileSystem,
  directory: string,
  listing: DirectoryListing,
): Promise<SnapshotState | undefined> {
  const number = listing.snapshots.at(-1);
  if (number === undefined) return undefined;
  const state = await readSnapshotState(fs, directory, number);
  if ('hint' in state) throw new CorruptionError(state);
  return state;
}

/** The store's id, as the snapshot says or, beside an ancestor's snapshot, as follows from it. */
export function storeIdOf(snapshot: SnapshotState | undefined): Uint8Array {
  if (snapshot === undefined) return ancestorStoreId(-1, 0);
  if (snapshot.format === 'lodestore') return snapshot.file.header.storeId;
  return ancestorStoreId(snapshot.number, snapshot.checksum);
}
