import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import type { DirectoryListing } from '../directory/listing.ts';
import {
  LEASE_NAME,
  LOCK_NAME,
  logName,
  MARKER_NAME,
  QUARANTINE_NAME,
  RESERVE_NAME,
  snapshotName,
} from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { readDirectoryContents } from '../store/recovery/directory-state.ts';
import { findFalseLeftovers } from '../store/recovery/leftovers.ts';
import { faultName, readSettled } from '../store/recovery/settled-reading.ts';
import { storeIdOf } from '../store/recovery/snapshot-state.ts';
import { surveyLog, type LogSurvey } from './log-survey.ts';
import { describeOpening, type Opening } from './opening.ts';
import { readOwner } from './owner.ts';
import { refusalOf } from './refusal.ts';
import { surveySnapshot, type SnapshotSurvey } from './snapshot-survey.ts';
import { judgeSurvey, type Judgement } from './survey-judgement.ts';
import type { OtherFile, SurveyedFiles } from './surveyed-files.ts';
import type { Refusal, SurveyOptions } from './survey-options.ts';

/** The contents of a directory, and the result that an open would have. */
export interface Survey extends SurveyedFiles {
  /** What opening would do. Undefined unless it would succeed. */
  readonly opening: Opening | undefined;
}

/**
 * Reads a directory as recovery would, but continues after damage. It changes nothing and takes no
 * lock, so a store may be open there.
 *
 * @throws StoreError LODESTORE_NOT_FOUND, LODESTORE_NOT_A_DIRECTORY, LODESTORE_IO; the signal's
 *   reason
 */
export function surveyDirectory(
  fs: FileSystem,
  directory: string,
  options: SurveyOptions,
): Promise<Survey> {
  const read = (): Promise<Survey> => readOnce(fs, directory, options);
  return readSettled(directory, read, (survey) => survey.damages.map(faultName));
}

async function readOnce(
  fs: FileSystem,
  directory: string,
  options: SurveyOptions,
): Promise<Survey> {
  const contents = await readDirectoryContents(fs, directory);
  const { claim, listing } = contents;
  const sizes = await readSizes(fs, directory, listing);
  const bytesOf = (names: readonly string[]): number =>
    names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  options.progress.begin('snapshot', bytesOf(listing.snapshots.map(snapshotName)));
  const newest = listing.snapshots.at(-1) ?? -1;
  const snapshots: SnapshotSurvey[] = [];
  for (const number of listing.snapshots) {
    const read = (): Promise<SnapshotSurvey> => surveySnapshot(fs, directory, number, options);
    const snapshot = await unlessRemoved(number < newest, read);
    if (snapshot !== undefined) snapshots.push(snapshot);
  }
  options.progress.begin('logs', bytesOf(listing.logs.map(logName)));
  const storeId = seedOf(snapshots.at(-1));
  const logs: LogSurvey[] = [];
  // Newest first: a log with a successor is then read after its seal was written.
  for (const number of listing.logs.toReversed()) {
    const read = (): Promise<LogSurvey> => surveyLog(fs, directory, number, storeId, options);
    const log = await unlessRemoved(number <= newest, read);
    if (log !== undefined) logs.unshift(log);
  }
  const others = await readOthers(fs, directory, listing);
  const owner = await readOwner(fs, directory);
  const judgement = withLeftovers(
    judgeSurvey(contents, snapshots.at(-1), logs),
    await judgeLeftovers(fs, directory, listing, snapshots.at(-1)),
  );
  const files = { directory, claim, listing, sizes, snapshots, logs, others, owner, ...judgement };
  return { ...files, opening: await describeOpening(fs, files) };
}

/**
 * The id by which recovery recognizes frames of the logs. Undefined if the newest snapshot is
 * damaged and has no header.
 */
function seedOf(newest: SnapshotSurvey | undefined): Uint8Array | undefined {
  if (newest !== undefined && newest.state === undefined) return newest.header?.storeId;
  return storeIdOf(newest?.state);
}

/** Files that only look like leftovers, and those whose headers cannot be read. */
async function judgeLeftovers(
  fs: FileSystem,
  directory: string,
  listing: DirectoryListing,
  newest: SnapshotSurvey | undefined,
): Promise<Pick<Judgement, 'damages' | 'refusals'>> {
  if (newest?.state === undefined) return { damages: [], refusals: [] };
  const { number } = newest;
  const refusals: Refusal[] = [];
  const damages = await findFalseLeftovers(
    fs,
    directory,
    listing,
    { number, storeId: storeIdOf(newest.state) },
    (error, path) => refusals.push(refusalOf(error, path)),
  );
  return { damages, refusals };
}

function withLeftovers(
  judgement: Judgement,
  found: Pick<Judgement, 'damages' | 'refusals'>,
): Judgement {
  const damages = [...judgement.damages, ...found.damages];
  const refusals = [...judgement.refusals, ...found.refusals];
  if (refusals.length > 0) return { ...judgement, outcome: 'refused', damages, refusals };
  if (found.damages.length === 0) return judgement;
  return { ...judgement, outcome: 'damaged', damages };
}

/**
 * Returns undefined if a leftover was removed while it was read. An open store removes leftovers,
 * and nothing depends on them.
 */
async function unlessRemoved<T>(
  isLeftover: boolean,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isLeftover && systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function readSizes(
  fs: FileSystem,
  directory: string,
  listing: DirectoryListing,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of [...listing.snapshots.map(snapshotName), ...listing.logs.map(logName)]) {
    // If the name is gone by now, reading its file reports that.
    const stat = await unlessRemoved(true, () => fs.stat(join(directory, name)));
    if (stat !== undefined) sizes.set(name, stat.sizeBytes);
  }
  return sizes;
}

async function readOthers(
  fs: FileSystem,
  directory: string,
  listing: DirectoryListing,
): Promise<OtherFile[]> {
  const named: Omit<OtherFile, 'bytes'>[] = [
    ...listing.temporaries.map((name) => ({ name, kind: 'temporary' as const })),
    { name: MARKER_NAME, kind: 'marker' },
    { name: LOCK_NAME, kind: 'lock' },
    { name: LEASE_NAME, kind: 'lease' },
    { name: QUARANTINE_NAME, kind: 'quarantine' },
    { name: RESERVE_NAME, kind: 'reserve' },
    ...listing.foreign.map((name) => ({ name, kind: 'foreign' as const })),
  ];
  const others: OtherFile[] = [];
  for (const { name, kind } of named) {
    try {
      const stat = await fs.stat(join(directory, name));
      others.push({ name, kind, bytes: stat.kind === 'file' ? stat.sizeBytes : undefined });
    } catch (error) {
      // A foreign symbolic link may be dangling. Any other missing name has just been removed.
      if (systemCode(error) !== 'ENOENT' || kind === 'foreign') {
        others.push({ name, kind, bytes: undefined });
      }
    }
  }
  return others;
}
