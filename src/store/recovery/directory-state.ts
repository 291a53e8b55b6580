import { join } from 'node:path';
import { CorruptionError, StoreError } from '../../base/errors.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';
import { refuseIncompleteCopy } from '../../directory/incomplete-copy.ts';
import { readClaim } from '../../directory/claim-file.ts';
import { listDirectory, type DirectoryListing } from '../../directory/listing.ts';
import type { Claim } from '../../format/claim.ts';
import { logName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { LogFile } from './load-logs.ts';
import { newestSnapshot, storeIdOf, type SnapshotState } from './snapshot-state.ts';
import { claimDamage, holdsNothing, unmetClaim } from './unmet-claim.ts';
import { judgeLogs, type LoadedLog, type Verdict } from './verdict.ts';

/** The claim and the listing of a directory, before any log or snapshot is read. */
export interface DirectoryContents {
  readonly directory: string;
  /** Undefined if the lock file has no claim. */
  readonly claim: Claim | undefined;
  readonly listing: DirectoryListing;
}

/** The start of every reading: the newest snapshot, and the logs that are newer. */
export interface DirectoryState extends DirectoryContents {
  /** Header and index are verified; chunks were not read. Undefined if there is no snapshot. */
  readonly snapshot: SnapshotState | undefined;
  readonly storeId: Uint8Array;
  /** Logs newer than the snapshot, ascending. */
  readonly newer: readonly LogFile[];
}

/** Cuts off what is not to be read of the logs. */
export type LimitLogs = (state: DirectoryState) => Promise<DirectoryState>;

/** A directory that holds, or should hold, a log or a snapshot. */
type JudgedDirectory = Pick<DirectoryState, 'directory' | 'snapshot' | 'storeId' | 'claim'>;

/** Options of reading a directory. */
export interface ReadingOptions {
  /** True for the writer of a copy, which checks the copy before it is complete. */
  readonly acceptIncomplete?: boolean | undefined;
}

/**
 * Reads the claim and then lists the directory. What the claim names existed before, so if the
 * listing lacks it, it is lost, whatever a writer does meanwhile. Takes no lock and changes
 * nothing.
 *
 * @throws StoreError LODESTORE_NOT_FOUND, LODESTORE_NOT_A_DIRECTORY, LODESTORE_INCOMPLETE,
 *   LODESTORE_IO; system errors unchanged
 */
export async function readDirectoryContents(
  fs: FileSystem,
  directory: string,
  { acceptIncomplete = false }: ReadingOptions = {},
): Promise<DirectoryContents> {
  await ensureDirectory(fs, directory, false);
  if (!acceptIncomplete) await refuseIncompleteCopy(fs, directory);
  const claim = await readClaim(fs, directory);
  return { directory, claim, listing: await listDirectory(fs, directory) };
}

/**
 * The first step of every reader: lists a directory and reads header and index of the newest
 * snapshot. Takes no lock and changes nothing. If a store may be open there, call it within
 * `readSettled`.
 *
 * @throws CorruptionError if the newest snapshot is invalid; StoreError as from
 *   `readDirectoryContents`, and LODESTORE_UNSUPPORTED_FORMAT; system errors unchanged
 */
export async function readDirectoryState(
  fs: FileSystem,
  directory: string,
  options: ReadingOptions = {},
): Promise<DirectoryState> {
  const contents = await readDirectoryContents(fs, directory, options);
  const { listing } = contents;
  const snapshot = await newestSnapshot(fs, directory, listing);
  const newer = await Promise.all(
    newerLogs(listing, snapshot).map(async (number) => {
      const path = join(directory, logName(number));
      return { number, path, sizeBytes: (await fs.stat(path)).sizeBytes };
    }),
  );
  return { ...contents, snapshot, storeId: storeIdOf(snapshot), newer };
}

/** Numbers of the logs that are newer than the snapshot. */
export function newerLogs(
  listing: DirectoryListing,
  snapshot: { readonly number: number } | undefined,
): number[] {
  const newest = snapshot?.number ?? -1;
  return listing.logs.filter((number) => number > newest);
}

/**
 * The second step of every reader: applies the rules of recovery to the logs that were read, and
 * checks the claim.
 */
export function judgeDirectory(
  { directory, snapshot, storeId, claim }: JudgedDirectory,
  logs: readonly LoadedLog[],
): Verdict {
  const verdict = judgeLogs(directory, snapshot, storeId, logs);
  const { lastSequence } = verdict.last;
  const found = { directory, snapshot, storeId, logs: verdict.logs, lastSequence };
  const unmet = unmetClaim(found, claim);
  // Damage is more specific than what is missing after it, unless nothing else was found.
  if (unmet === undefined || (verdict.damages.length > 0 && !holdsNothing(found))) return verdict;
  return { ...verdict, damages: [claimDamage(directory, unmet), ...verdict.damages] };
}

/** @throws CorruptionError for the first damage of a verdict */
export function requireUndamaged({ damages: [damage] }: Verdict): void {
  if (damage !== undefined) throw new CorruptionError(damage);
}

/** Whether the directory has a snapshot or a non-empty log. */
export function holdsStore(
  { snapshot }: Pick<DirectoryState, 'snapshot'>,
  { logs }: Pick<Verdict, 'logs'>,
): boolean {
  return snapshot !== undefined || logs.length > 0;
}

/** The error for a directory without a store. */
export function noStoreError(directory: string): StoreError {
  return new StoreError('LODESTORE_NOT_FOUND', `there is no store in ${directory}`, {
    path: directory,
  });
}
