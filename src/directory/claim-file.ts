import { join } from 'node:path';
import { equalBytes } from '../base/bytes.ts';
import { systemCode } from '../base/errors.ts';
import {
  CLAIM_AREA_BYTES,
  CLAIM_OFFSET,
  claimSectorOffset,
  encodeClaim,
  newestClaim,
  type Claim,
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
  try {
    return (await readStored(fs, join(directory, LOCK_NAME)))?.claim;
  } catch (error) {
    if (NO_FILE_CODES.has(systemCode(error))) return undefined;
    throw error;
  }
}

async function readStored(fs: FileSystem, path: string): Promise<StoredClaim | undefined> {
  const { kind, sizeBytes } = await fs.stat(path);
  if (kind !== 'file' || sizeBytes <= CLAIM_OFFSET) return undefined;
  const file = await fs.open(path, 'r');
  try {
    const area = new Uint8Array(CLAIM_AREA_BYTES);
    return newestClaim(area.subarray(0, await readFully(file, area, CLAIM_OFFSET)));
  } finally {
    await file.close();
  }
}

/**
 * Writes claims for the holder of the lock. Each overwrites the older one of two sectors, so that
 * one is always intact.
 */
export class ClaimKeeper {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #fileLock: FileLock;
  /** The newest claim known to be durable. `unread`: not read yet. */
  #newest: StoredClaim | undefined | 'unread' = 'unread';
  /** Generation of the last write, successful or not. */
  #generation = 0n;

  constructor(fs: FileSystem, path: string, fileLock: FileLock) {
    this.#fs = fs;
    this.#path = path;
    this.#fileLock = fileLock;
  }

  /** Resolves when the claim is durable. Only one call at a time. Rejects with the system error. */
  async write(claim: Claim): Promise<void> {
    const newest = await this.#read();
    if (newest !== undefined && isSameClaim(newest.claim, claim)) return;
    const sector = newest?.sector === 0 ? 1 : 0;
    const generation = BigInt.asUintN(64, this.#generation + 1n);
    this.#generation = generation;
    const bytes = encodeClaim(claim, generation, sector);
    await this.#fileLock.writeClaim(bytes, claimSectorOffset(sector));
    this.#newest = { claim, generation, sector };
  }

  async #read(): Promise<StoredClaim | undefined> {
    if (this.#newest === 'unread') {
      this.#newest = await readStored(this.#fs, this.#path);
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
