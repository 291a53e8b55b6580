import { join } from 'node:path';
import { equalBytes } from '../base/bytes.ts';
import { systemCode } from '../base/errors.ts';
import {
  CLAIM_AREA_BYTES,
  CLAIM_OFFSET,
  claimSectorOffset,
  encodeClaim,
  newestClaim,
  nextSector,
  type Claim,
  type ClaimKind,
  type StoredClaim,
} from '../format/claim.ts';
import { LOCK_NAME } from '../format/file-name.ts';
import type { FileLock, FileSystem } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';

/** Error codes of a missing or unreadable lock file, which means no claim. */
const NO_FILE_CODES: ReadonlySet<string | undefined> = new Set([
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'ELOOP',
]);

/**
 * Reads what the directory must hold according to its lock file. Call it before listing the
 * directory: a listing older than the claim may lack the claimed files. Rejects with the system
 * error.
 */
export async function readClaim(fs: FileSystem, directory: string): Promise<Claim | undefined> {
  return newestClaim(await readArea(fs, directory))?.claim;
}

/**
 * Reads up to where the files of a store are known to be durable: its claim or its note, whichever
 * reaches further. For readers beside an open store, which notes it after each commit. A lock file
 * that was left by another store has entries of both: those of the other are ignored. If it has
 * only such, returns one of them, because the directory may hold the other store by now. As
 * `readClaim`, call it before listing the directory.
 */
export async function readSyncedEnd(
  fs: FileSystem,
  directory: string,
  storeId: Uint8Array,
): Promise<Claim | undefined> {
  const area = await readArea(fs, directory);
  const found = [newestClaim(area)?.claim, newestClaim(area, 'note')?.claim].filter(
    (one) => one !== undefined,
  );
  const own = found.filter((one) => equalBytes(one.storeId, storeId));
  const [first, second] = own.length > 0 ? own : found;
  if (first === undefined || second === undefined) return first;
  return reachesFurther(first, second) ? first : second;
}

/**
 * Whether no store has been open in the directory for writing: there is no lock file, or it is
 * empty. A writer records itself there before it reads or writes anything else.
 */
export async function isUnowned(fs: FileSystem, directory: string): Promise<boolean> {
  try {
    const { kind, sizeBytes } = await fs.stat(join(directory, LOCK_NAME));
    return kind === 'file' && sizeBytes === 0;
  } catch (error) {
    return systemCode(error) === 'ENOENT';
  }
}

/** With as many batches, a claim may still reach further: it includes the seal of a log. */
function reachesFurther(one: Claim, other: Claim): boolean {
  if (one.lastSequence !== other.lastSequence) return one.lastSequence > other.lastSequence;
  if (one.number !== other.number) return one.number > other.number;
  return one.lengthBytes > other.lengthBytes;
}

/** The bytes of the lock file from `CLAIM_OFFSET` on; none where it cannot be read. */
async function readArea(fs: FileSystem, directory: string): Promise<Uint8Array> {
  try {
    return await readStored(fs, join(directory, LOCK_NAME));
  } catch (error) {
    if (NO_FILE_CODES.has(systemCode(error))) return new Uint8Array(0);
    throw error;
  }
}

async function readStored(fs: FileSystem, path: string): Promise<Uint8Array> {
  const { kind, sizeBytes } = await fs.stat(path);
  if (kind !== 'file' || sizeBytes <= CLAIM_OFFSET) return new Uint8Array(0);
  const file = await fs.open(path, 'r');
  try {
    const area = new Uint8Array(CLAIM_AREA_BYTES);
    return area.subarray(0, await readFully(file, area, CLAIM_OFFSET));
  } finally {
    await file.close();
  }
}

/**
 * Writes claims, or notes, for the holder of the lock. Each overwrites the older one of two
 * sectors, so that one is always intact.
 */
export class ClaimKeeper {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #fileLock: FileLock;
  readonly #kind: ClaimKind;
  /** The newest one known to be written; of claims, durably. `unread`: not read yet. */
  #newest: StoredClaim | undefined | 'unread' = 'unread';
  /** Generation of the last write, successful or not. */
  #generation = 0n;

  constructor(fs: FileSystem, path: string, fileLock: FileLock, kind: ClaimKind) {
    this.#fs = fs;
    this.#path = path;
    this.#fileLock = fileLock;
    this.#kind = kind;
  }

  /**
   * Resolves when the claim is durable, or the note written. Only one call at a time. Rejects with
   * the system error.
   */
  async write(claim: Claim): Promise<void> {
    const newest = await this.#read();
    if (newest !== undefined && isSameClaim(newest.claim, claim)) return;
    const sector = nextSector(this.#kind, newest);
    const generation = BigInt.asUintN(64, this.#generation + 1n);
    this.#generation = generation;
    const bytes = encodeClaim(claim, generation, sector);
    const position = claimSectorOffset(sector);
    if (this.#kind === 'claim') await this.#fileLock.writeClaim(bytes, position);
    else await this.#fileLock.writeNote(bytes, position);
    this.#newest = { claim, generation, sector };
  }

  async #read(): Promise<StoredClaim | undefined> {
    if (this.#newest === 'unread') {
      this.#newest = newestClaim(await readStored(this.#fs, this.#path), this.#kind);
      this.#generation = this.#newest?.generation ?? 0n;
    }
    return this.#newest;
  }
}

function isSameClaim(one: Claim, other: Claim): boolean {
  return (
    equalBytes(one.storeId, other.storeId) &&
    one.number === other.number &&
    one.lengthBytes === other.lengthBytes &&
    one.lastSequence === other.lastSequence
  );
}
