import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { systemCode, type CorruptionDetail } from '../../base/errors.ts';
import type { DirectoryListing } from '../../directory/listing.ts';
import {
  FILE_HEADER_BYTES,
  identifyFileHeader,
  type FileHeader,
} from '../../format/file-header.ts';
import { logName, snapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { damageHint } from './advice.ts';

/** The newest snapshot, by which leftovers are recognized. */
export interface NewestSnapshot {
  readonly number: number;
  readonly storeId: Uint8Array;
}

/**
 * Finds files that look like leftovers but are not. An open removes merged logs and older
 * snapshots, which it recognizes by the numbers in their names. This function checks that their
 * headers agree. A newer log under an old name holds data that no other file has. If an older
 * snapshot is of another store, the newest one may be the wrong one. Files with invalid headers are
 * ignored, because nothing depends on them. Rejects with the system error of a file that cannot be
 * read, unless `onUnreadable` takes it.
 */
export async function findFalseLeftovers(
  fs: FileSystem,
  directory: string,
  listing: DirectoryListing,
  newest: NewestSnapshot,
  onUnreadable?: (error: unknown, path: string) => void,
): Promise<CorruptionDetail[]> {
  const logs = listing.logs.filter((number) => number <= newest.number).map(logName);
  const snapshots = listing.snapshots.filter((number) => number < newest.number).map(snapshotName);
  const damages: CorruptionDetail[] = [];
  for (const name of [...logs, ...snapshots]) {
    const path = join(directory, name);
    const header = await headerAt(fs, path).catch((error: unknown) => {
      if (onUnreadable === undefined) throw error;
      onUnreadable(error, path);
      return undefined;
    });
    const reason = header && falseReason(header, newest, snapshots.includes(name));
    if (reason !== undefined) {
      damages.push({ path, offset: 0, reason, hint: damageHint(directory) });
    }
  }
  return damages;
}

function falseReason(
  { storeId, kind, number }: FileHeader,
  newest: NewestSnapshot,
  isSnapshotName: boolean,
): string | undefined {
  if (equalBytes(storeId, newest.storeId)) {
    if (number <= newest.number) return undefined;
    return `the file header is that of ${kind} ${number}, which snapshot ${newest.number} does not contain`;
  }
  // A log of another store is checked by the feeds that read it. It says nothing about this store.
  if (!isSnapshotName || kind !== 'snapshot') return undefined;
  return `the snapshot belongs to another store than snapshot ${newest.number}, the newest`;
}

async function headerAt(fs: FileSystem, path: string): Promise<FileHeader | undefined> {
  try {
    const file = await fs.open(path, 'r');
    try {
      const bytes = new Uint8Array(FILE_HEADER_BYTES);
      return identifyFileHeader(bytes.subarray(0, await readFully(file, bytes, 0)));
    } finally {
      await file.close();
    }
  } catch (error) {
    // An open store has removed it.
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
