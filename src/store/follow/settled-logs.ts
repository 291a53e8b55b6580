import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { systemCode } from '../../base/errors.ts';
import { isUnowned, readSyncedEnd } from '../../directory/claim-file.ts';
import type { Claim } from '../../format/claim.ts';
import { logName } from '../../format/file-name.ts';
import { LogReader } from '../../log/log-reader.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { DirectoryState, LimitLogs } from '../recovery/directory-state.ts';
import type { LogFile } from '../recovery/load-logs.ts';

type LogPlace = Pick<DirectoryState, 'directory' | 'storeId'> & { readonly fs: FileSystem };

/**
 * Limits the logs to what is known to be durable and acknowledged. The last group of the last log
 * may be complete and still be truncated: its write has not ended, and the rest may find no space.
 * Its batches are then `not-applied`, and their numbers are reused.
 *
 * A group is proven by what is written only after it is settled: a later group or log, which
 * records the unsynced bytes before it; a seal that was not written together with it; the claim
 * and, while the store is open, the note in the lock file. A seal written together with it proves
 * it where no store was ever open, as in a backup: no such write is in flight.
 */
export function settledLogs(fs: FileSystem): LimitLogs {
  return async (state) => {
    const { directory, storeId, newer } = state;
    // Read first, so the logs hold everything that it names.
    const end = await readSyncedEnd(fs, directory, storeId);
    const ofStore = end !== undefined && equalBytes(end.storeId, storeId) ? end : undefined;
    for (let i = newer.length - 1; i >= 0; i--) {
      const log = newer[i]!;
      const limitBytes = await settledBytes({ fs, directory, storeId }, log, ofStore);
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
  { fs, directory, storeId }: LogPlace,
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
      if (step.kind === 'skipped') continue;
      const isProven =
        step.kind === 'sealed' && (!step.isPiggybacked || (await isUnowned(fs, directory)));
      return Math.max(known, isProven ? reader.offset : reader.provenBytes);
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
