import { join } from 'node:path';
import { readSafeU64, viewOf } from '../../base/bytes.ts';
import { CorruptionError, type CorruptionDetail } from '../../base/errors.ts';
import type { DirectoryListing } from '../../directory/listing.ts';
import { ANCESTOR_FRAME_OVERHEAD_BYTES, ancestorStoreId } from '../../format/ancestor.ts';
import { snapshotName } from '../../format/file-name.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { readSnapshot, type SnapshotFile } from '../../snapshot/snapshot-reader.ts';
import { damageHint } from './advice.ts';
import { findFalseLeftovers } from './leftovers.ts';
import { unsupportedFormat } from './unsupported-format.ts';

/** The snapshot that recovery starts from. Header and index are verified; chunks were not read. */
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

/** Reads header and index of snapshot `number`. Returns the damage if they are invalid. */
export async function readSnapshotState(
  fs: FileSystem,
  directory: string,
  number: number,
): Promise<SnapshotState | CorruptionDetail> {
  const path = join(directory, snapshotName(number));
  const file = await fs.open(path, 'r');
  try {
    const result = await readSnapshot(file, number);
    if (result.kind === 'unsupported') throw unsupportedFormat(path, result.version);
    if (result.kind === 'corrupt') {
      const { offset, reason } = result;
      return { path, offset, reason, hint: damageHint(directory) };
    }
    if (result.kind === 'foreign') {
      const checksum = await ancestorFrameChecksum(file, result.fileBytes);
      if (checksum !== undefined) {
        return { format: 'ancestor', number, path, fileBytes: result.fileBytes, checksum };
      }
      const reason = 'the file is not a snapshot: its magic and its length do not match';
      return { path, offset: 0, reason, hint: damageHint(directory) };
    }
    return { format: 'lodestore', number, path, fileBytes: result.fileBytes, file: result };
  } finally {
    await file.close();
  }
}

/**
 * The checksum of an ancestor's snapshot, which is one frame of the file's length. Undefined for
 * other files.
 */
async function ancestorFrameChecksum(
  file: OpenFile,
  fileBytes: number,
): Promise<number | undefined> {
  if (fileBytes < ANCESTOR_FRAME_OVERHEAD_BYTES) return undefined;
  const head = new Uint8Array(8);
  const tail = new Uint8Array(4);
  await readFully(file, head, 0);
  await readFully(file, tail, fileBytes - 4);
  const payloadBytes = readSafeU64(viewOf(head), 0);
  const isWhole = payloadBytes + ANCESTOR_FRAME_OVERHEAD_BYTES === fileBytes;
  return isWhole ? viewOf(tail).getUint32(0, true) : undefined;
}

/**
 * Reads the newest snapshot. Undefined if there is none. Older ones are leftovers of a merge.
 *
 * @throws CorruptionError if the newest is invalid, because an older one would show older records;
 *   or if a file only looks like a leftover
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
  const newest = { number, storeId: storeIdOf(state) };
  const [falseLeftover] = await findFalseLeftovers(fs, directory, listing, newest);
  if (falseLeftover !== undefined) throw new CorruptionError(falseLeftover);
  return state;
}

/** The store's id in the snapshot or, for an ancestor's snapshot, derived from it. */
export function storeIdOf(snapshot: SnapshotState | undefined): Uint8Array {
  if (snapshot === undefined) return ancestorStoreId(-1, 0);
  if (snapshot.format === 'lodestore') return snapshot.file.header.storeId;
  return ancestorStoreId(snapshot.number, snapshot.checksum);
}
