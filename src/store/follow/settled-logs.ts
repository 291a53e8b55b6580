import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { systemCode } from '../../base/errors.ts';
import { readSyncedEnd } from '../../directory/claim-file.ts';
import type { Claim } from '../../format/claim.ts';
import { logName } from '../../format/file-name.ts';
import { LogReader } from '../../log/log-reader.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { DirectoryState, LimitLogs } from '../recovery/directory-state.ts';
import type { LogFile } from '../recovery/load-logs.ts';

type LogPlace = Pick<DirectoryState, 'storeId'> & { readonly fs: FileSystem };

/**
 * Limits the logs to what is known to be durable and acknowledged. The last group of the last log
 * may be complete and still be truncated: its write has not ended, and the rest may find no space.
 * Its batches are then `not-applied`, and their numbers are reused.
 *
 * A group is proven by a later group or log, which is written only after this group is settled and
 * records the unsynced bytes before it, or by the lock file (the claim and, while the store is
 * open, the note).
 */
export function settledLogs(fs: FileSystem): LimitLogs {
  return async (state) => {
    const { directory, storeId, newer } = state;
    // Read first, so the logs hold everything that it names.
    const end = await readSyncedEnd(fs, directory, storeId);
    const ofStore = end !== undefined && equalBytes(end.storeId, storeId) ? end : undefined;
    for (let i = newer.length - 1; i >= 0; i--) {
      const log = newer[i]!;
      const limitBytes = await settledBytes({ fs, storeId }, log, ofStore);
      // Prepared and never written: the log before it is the last.
      if (limitBytes === undefined) continue;
      const before = newer.slice(0, i);
      if (limitBytes === 0) return { ...state, newer: before };
      return { ...state, newer: [...before, { ...log, sizeBytes: limitBytes, limitBytes }] };
    }
    return { ...state, newer: [] };
  };
}

/**
 * Bytes of the last log that are settled. Undefined: it holds nothing. A file that is not a log of
 * this store is passed on in full, and recovery judges it.
 */
async function settledBytes(
  { fs, storeId }: LogPlace,
  { number, path, sizeBytes }: LogFile,
  end: Claim | undefined,
): Promise<number | undefined> {
  const known = end?.number === number ? end.lengthBytes : 0;
  const reader = await LogReader.open(fs, path, number, storeId);
  try {
    const first = await reader.begin(sizeBytes);
    if (first.kind === 'corrupt') return sizeBytes;
    if (first.kind === 'unfinished') return known === 0 ? undefined : sizeBytes;
    for (;;) {
      const step = await reader.next(sizeBytes, NO_BATCH);
      if (step.kind !== 'skipped') return Math.max(known, reader.provenBytes);
    }
  } finally {
    await reader.close();
  }
}

/** Beyond any sequence: no group is wanted, so only headers are read. */
const NO_BATCH: bigint = 2n ** 64n;

/** Opens a log of a directory; undefined if there is none. */
export async function openLog(
  fs: FileSystem,
  directory: string,
  number: number,
  storeId: Uint8Array,
): Promise<LogReader | undefined> {
  try {
    return await LogReader.open(fs, join(directory, logName(number)), number, storeId);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
