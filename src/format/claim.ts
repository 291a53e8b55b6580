import { equalBytes, isZero, readSafeU64, viewOf, writeSafeU64 } from '../base/bytes.ts';
import { ChecksumSeed, STORE_ID_BYTES } from './checksum.ts';
import { MAX_FILE_NUMBER } from '../base/limits.ts';

/** Offset of the claims in the lock file, after the longest owner record. */
export const CLAIM_OFFSET = 4096;

/** The disk writes a sector of this size whole or not at all. */
export const CLAIM_SECTOR_BYTES = 512;

/** Two sectors: while one is written, the other one holds a complete claim. Then those of notes. */
export const CLAIM_AREA_BYTES: number = 4 * CLAIM_SECTOR_BYTES;

/**
 * Sectors of claims and of notes. Notes are claims without a sync, valid while the store is open.
 */
export type ClaimSector = 0 | 1 | 2 | 3;
export type ClaimKind = 'claim' | 'note';

const SECTORS: Readonly<Record<ClaimKind, readonly [ClaimSector, ClaimSector]>> = {
  claim: [0, 1],
  note: [2, 3],
};

/**
 * What a directory must hold: all batches of the store up to `lastSequence`. The last of them are
 * in log `number`, which is at least `lengthBytes` long, or in a snapshot with that number or a
 * higher one.
 */
export interface Claim {
  readonly storeId: Uint8Array;
  readonly number: number;
  readonly lengthBytes: number;
  readonly lastSequence: bigint;
}

/** The newest claim of a lock file, or its newest note. */
export interface StoredClaim {
  readonly claim: Claim;
  readonly generation: bigint;
  readonly sector: ClaimSector;
}

const MAGIC: Uint8Array = Uint8Array.of(0x4c, 0x4f, 0x44, 0x45, 0x43, 0x4c, 0x4d, 0xf1);
const VERSION = 1;
const FIELDS_END = 64;
const CHECKSUM_AT: number = CLAIM_SECTOR_BYTES - 4;

export function claimSectorOffset(sector: ClaimSector): number {
  return CLAIM_OFFSET + sector * CLAIM_SECTOR_BYTES;
}

/** The sector that the next claim or note of a kind is written to, over the older one. */
export function nextSector(kind: ClaimKind, newest: StoredClaim | undefined): ClaimSector {
  const [first, second] = SECTORS[kind];
  return newest?.sector === first ? second : first;
}

/** Encodes one sector. The generation wraps around at 2^64. */
export function encodeClaim(claim: Claim, generation: bigint, sector: ClaimSector): Uint8Array {
  const bytes = new Uint8Array(CLAIM_SECTOR_BYTES);
  const view = viewOf(bytes);
  bytes.set(MAGIC);
  view.setUint32(8, VERSION, true);
  bytes.set(claim.storeId, 16);
  writeSafeU64(view, 32, claim.number);
  writeSafeU64(view, 40, claim.lengthBytes);
  view.setBigUint64(48, claim.lastSequence, true);
  view.setBigUint64(56, generation, true);
  view.setUint32(CHECKSUM_AT, checksumOf(bytes, claim, sector), true);
  return bytes;
}

/**
 * The newest claim, or note, in the bytes from `CLAIM_OFFSET` on. Undefined if no sector of that
 * kind holds a valid one.
 */
export function newestClaim(area: Uint8Array, kind: ClaimKind = 'claim'): StoredClaim | undefined {
  const [first, second] = SECTORS[kind].map((sector) => decodeSector(area, sector));
  if (first === undefined || second === undefined) return first ?? second;
  return isNewer(second.generation, first.generation) ? second : first;
}

/** Undefined if the sector is torn, truncated, blank, misplaced or of another version. */
function decodeSector(area: Uint8Array, sector: ClaimSector): StoredClaim | undefined {
  const from = sector * CLAIM_SECTOR_BYTES;
  const bytes = area.subarray(from, from + CLAIM_SECTOR_BYTES);
  if (bytes.length < CLAIM_SECTOR_BYTES) return undefined;
  const view = viewOf(bytes);
  const isOurs = equalBytes(bytes.subarray(0, MAGIC.length), MAGIC);
  if (!isOurs || view.getUint32(8, true) !== VERSION || view.getUint32(12, true) !== 0)
    return undefined;
  const claim = {
    storeId: bytes.slice(16, 16 + STORE_ID_BYTES),
    number: readSafeU64(view, 32),
    lengthBytes: readSafeU64(view, 40),
    lastSequence: view.getBigUint64(48, true),
  };
  const isNumber = claim.number >= 0 && claim.number <= MAX_FILE_NUMBER;
  if (!isNumber || claim.lengthBytes < 0) return undefined;
  if (!isZero(bytes, FIELDS_END, CHECKSUM_AT)) return undefined;
  if (view.getUint32(CHECKSUM_AT, true) !== checksumOf(bytes, claim, sector)) return undefined;
  return { claim, generation: view.getBigUint64(56, true), sector };
}

function checksumOf(bytes: Uint8Array, { storeId, number }: Claim, sector: ClaimSector): number {
  const seed = new ChecksumSeed(storeId, 'claim', number);
  return seed.checksum(bytes.subarray(0, CHECKSUM_AT), claimSectorOffset(sector));
}

/** The two generations in a file differ by 1, also across the wrap. */
function isNewer(one: bigint, other: bigint): boolean {
  return BigInt.asIntN(64, one - other) > 0n;
}
