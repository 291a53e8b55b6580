import { createHash } from 'node:crypto';
import { MAX_U64 } from '../../base/limits.ts';
import type { LogPlace } from '../log/log-chain.ts';
import { CheckpointStoreError } from './checkpoint-store.ts';

/** A piece of a checkpoint's file, named by the SHA-256 of its content. */
export interface CheckpointPiece {
  readonly object: string;
  readonly sizeBytes: number;
}

/** A file of a backup, as pieces. */
export interface CheckpointFile {
  readonly name: string;
  readonly pieces: readonly CheckpointPiece[];
}

/** A complete, verified backup at one place of the shared log. */
export interface CheckpointManifest {
  readonly place: LogPlace & { readonly logId: Uint8Array };
  readonly files: readonly CheckpointFile[];
}

/** A checkpoint that a store lists. */
export interface ListedCheckpoint {
  /** The name of its manifest. */
  readonly name: string;
  readonly position: bigint;
}

export const MANIFEST_PREFIX = 'checkpoints/';

/** The largest piece. A reader holds one in memory. */
export const MAX_PIECE_BYTES: number = 8 * 1024 * 1024;

const MANIFEST_NAME = /^checkpoints\/(\d{20})-([0-9a-f]{64})$/;
const LOG_ID = /^[0-9a-f]{32}$/;
const DECIMAL = /^\d{1,20}$/;
/** Neither a path nor a hidden file, on any system. */
const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/;
const OBJECT_NAME = /^objects\/[0-9a-f-]{1,100}\/[0-9a-f]{64}$/;

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The manifest's name contains its position and the SHA-256 of its content. */
export function encodeManifestObject(manifest: CheckpointManifest): {
  readonly name: string;
  readonly bytes: Uint8Array;
} {
  const { place, files } = manifest;
  const text = JSON.stringify({
    format: 1,
    logId: Buffer.from(place.logId).toString('hex'),
    position: String(place.position),
    sequence: String(place.sequence),
    epoch: String(place.epoch),
    checksum: place.checksum,
    files,
  });
  const bytes = new TextEncoder().encode(text);
  const position = String(place.position).padStart(20, '0');
  return { name: `${MANIFEST_PREFIX}${position}-${sha256Hex(bytes)}`, bytes };
}

/** The checkpoint that a manifest's name describes; undefined if it is not such a name. */
export function listedCheckpoint(name: string): ListedCheckpoint | undefined {
  const position = MANIFEST_NAME.exec(name)?.[1];
  return position === undefined ? undefined : { name, position: BigInt(position) };
}

/** The content of a manifest, in format 1. */
interface RawManifest {
  readonly format: number;
  readonly logId: string;
  readonly position: string;
  readonly sequence: string;
  readonly epoch: string;
  readonly checksum: number;
  readonly files: readonly CheckpointFile[];
}

/** True if the content is the one that was put under this name. */
export function isIntactManifest(name: string, bytes: Uint8Array): boolean {
  return MANIFEST_NAME.exec(name)?.[2] === sha256Hex(bytes);
}

/**
 * Decodes a manifest. Anyone who can write to the checkpoint store may have made it, so every value
 * is checked before it is used.
 * @throws CheckpointStoreError `damaged`
 */
export function decodeManifestObject(name: string, bytes: Uint8Array): CheckpointManifest {
  const [, position] = MANIFEST_NAME.exec(name) ?? [];
  if (position === undefined || !isIntactManifest(name, bytes)) {
    throw new CheckpointStoreError('damaged', `the content of ${name} does not match its name`);
  }
  const raw = parsed(bytes);
  if (raw !== undefined && raw.format !== 1) {
    throw new CheckpointStoreError('damaged', `${name} has format ${raw.format}`);
  }
  if (raw === undefined || !isManifest(raw) || BigInt(raw.position) !== BigInt(position)) {
    throw new CheckpointStoreError('damaged', `${name} is not a manifest of a checkpoint`);
  }
  const place = {
    logId: new Uint8Array(Buffer.from(raw.logId, 'hex')),
    position: BigInt(raw.position),
    sequence: BigInt(raw.sequence),
    epoch: BigInt(raw.epoch),
    checksum: raw.checksum,
  };
  return { place, files: raw.files };
}

/** Undefined if it is not an object in JSON. */
function parsed(bytes: Uint8Array): RawManifest | undefined {
  try {
    const raw: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof raw === 'object' && raw !== null ? (raw as RawManifest) : undefined;
  } catch {
    return undefined;
  }
}

function isManifest({ logId, position, sequence, epoch, checksum, files }: RawManifest): boolean {
  const isPlace =
    isText(logId, LOG_ID) &&
    [position, sequence, epoch].every((one) => isText(one, DECIMAL) && BigInt(one) <= MAX_U64) &&
    isInteger(checksum, 0, 0xffff_ffff);
  if (!isPlace || !areAll(files, isFile)) return false;
  return new Set(files.map((file) => file.name)).size === files.length;
}

function isFile(file: CheckpointFile | null): boolean {
  if (typeof file !== 'object' || file === null) return false;
  return isText(file.name, FILE_NAME) && areAll(file.pieces, isPiece);
}

function isPiece(piece: CheckpointPiece | null): boolean {
  if (typeof piece !== 'object' || piece === null) return false;
  return isText(piece.object, OBJECT_NAME) && isInteger(piece.sizeBytes, 1, MAX_PIECE_BYTES);
}

function areAll<Item>(items: readonly Item[], isValid: (item: Item) => boolean): boolean {
  return Array.isArray(items) && items.every(isValid);
}

function isText(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value);
}

function isInteger(value: unknown, least: number, most: number): boolean {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
}
