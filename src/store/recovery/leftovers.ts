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

/** What makes files leftovers. */
export interface NewestSnapshot {
  readonly number: number;
  readonly storeId: Uint8Array;
}

/**
 * Names of merged logs and older snapshots are removed when a store opens. Their numbers are in the
 * names; here their headers are asked whether they are what the names say: a newer log under an old
 * name holds what no other file does, and beside an older snapshot of another store the newest one
 * may be the stranger. Headers that do not verify tell nothing: nobody depends on such a file.
 * Rejects with the system's error.
 */
export async function findFalseLeftovers(
  fs: FileSystem,
  directory: string,
  listing: DirectoryListing,
  newest: NewestSnapshot,
): Promise<CorruptionDetail[]> {
  const logs = listing.logs.filter((number) => number <= newest.number).map(logName);
  const snapshots = listing.snapshots.filter((number) => number < newest.number).map(snapshotName);
  const damages: CorruptionDetail[] = [];
  for (const name of [...logs, ...snapshots]) {
    const path = join(directory, name);
    const header = await headerAt(fs, path);
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
  // What feeds may read of a retained log is checked there; it proves nothing about the store.
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
    // A store at work there has removed it.
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
