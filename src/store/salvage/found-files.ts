import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { systemCode } from '../../base/errors.ts';
import type { Claim } from '../../format/claim.ts';
import {
  identifyFileHeader,
  FILE_HEADER_BYTES,
  unsupportedVersionOf,
  type FileHeader,
} from '../../format/file-header.ts';
import { logName, parseFileName, snapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { unsupportedFormat } from '../recovery/unsupported-format.ts';

/** A file that may belong to a store, by its name or by its header. */
export interface FoundFile {
  readonly name: string;
  /** Whether the name is that of a log or a snapshot. */
  readonly isNamed: boolean;
  /** The header, read without regard to the name. Undefined if it is invalid. */
  readonly header: FileHeader | undefined;
}

/** The name that a file should have by its header. */
export function placeOf({ kind, number }: FileHeader): string {
  return kind === 'log' ? logName(number) : snapshotName(number);
}

/**
 * Finds logs and snapshots of a directory, also under foreign names: copies and renamed files.
 *
 * @throws StoreError LODESTORE_UNSUPPORTED_FORMAT if a later version wrote a log or a snapshot,
 *   because guesses about its frames could lose them; system errors unchanged
 */
export async function findFiles(fs: FileSystem, directory: string): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  for (const { name, kind } of await fs.readDirectory(directory)) {
    const parsed = parseFileName(name);
    const isNamed = parsed.kind === 'log' || parsed.kind === 'snapshot';
    if (kind === 'directory' || (!isNamed && parsed.kind !== 'foreign')) continue;
    if (!isNamed && kind === 'other' && !(await isFile(fs, join(directory, name)))) continue;
    const header = await readHeader(fs, join(directory, name), isNamed);
    if (isNamed || header !== undefined) found.push({ name, isNamed, header });
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Follows links. Opening anything else may block: a pipe waits for a writer. */
async function isFile(fs: FileSystem, path: string): Promise<boolean> {
  try {
    return (await fs.stat(path)).kind === 'file';
  } catch (error) {
    // A dangling link, or one that leads where we may not look.
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}

async function readHeader(
  fs: FileSystem,
  path: string,
  isNamed: boolean,
): Promise<FileHeader | undefined> {
  try {
    const file = await fs.open(path, 'r');
    try {
      const bytes = new Uint8Array(FILE_HEADER_BYTES);
      const head = bytes.subarray(0, await readFully(file, bytes, 0));
      const version = unsupportedVersionOf(head);
      if (version !== undefined) throw unsupportedFormat(path, version);
      return identifyFileHeader(head);
    } finally {
      await file.close();
    }
  } catch (error) {
    // A foreign file may be unreadable, a dangling link, or of a later version.
    if (isNamed) throw error;
    return undefined;
  }
}

/**
 * Determines the id of the directory's store: the id in the claim, if any file with a proper name
 * has it. Otherwise the id of most such files, where a snapshot counts twice, because logs do not
 * open without one. In case of a tie, the id of the newest snapshot. Files under foreign names
 * count only if no other header is valid: a lock file and such copies of another store may be there
 * from before. Undefined if no header is valid.
 */
export function findStoreId(
  files: readonly FoundFile[],
  claim: Claim | undefined,
): Uint8Array | undefined {
  const named = headersOf(files.filter((file) => file.isNamed));
  const headers = named.length > 0 ? named : headersOf(files);
  const isClaimed = headers.some(({ storeId }) => claim && equalBytes(storeId, claim.storeId));
  if (isClaimed) return claim?.storeId;
  let best: { readonly storeId: Uint8Array; readonly rank: readonly number[] } | undefined;
  for (const { storeId } of headers) {
    const rank = rankOf(headers.filter((header) => equalBytes(header.storeId, storeId)));
    if (best === undefined || isHigher(rank, best.rank)) best = { storeId, rank };
  }
  return best?.storeId;
}

function headersOf(files: readonly FoundFile[]): FileHeader[] {
  return files.flatMap(({ header }) => header ?? []);
}

/**
 * Rank of a store: its number of distinct files, plus one for a snapshot; then its newest snapshot.
 */
function rankOf(headers: readonly FileHeader[]): readonly number[] {
  const places = new Set(headers.map(placeOf));
  const snapshots = headers.filter(({ kind }) => kind === 'snapshot').map(({ number }) => number);
  return [places.size + (snapshots.length > 0 ? 1 : 0), Math.max(-1, ...snapshots)];
}

/** Earlier elements are more significant. */
export type Rank = readonly (number | bigint)[];

export function isHigher(rank: Rank, other: Rank): boolean {
  const at = rank.findIndex((value, i) => value !== other[i]);
  return at >= 0 && rank[at]! > other[at]!;
}
